"""Why a broker cannot be reached, refuses or hangs up, in words that its owner can act on.

Knows the errors of aiomqtt, paho and the socket, and nothing of what is published.
"""

from __future__ import annotations

import socket
import ssl

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from bridge.outputs.mqtt.address import Address

_UNSUPPORTED_VERSION = 132
_MAYBE_VERSION = frozenset({128, 129, 130, _UNSUPPORTED_VERSION})
"""Reason codes with which a broker of version 3.1.1 may mean that it does not understand version 5."""

# MQTT 5, section 2.4; the codes of 3.1.1 are turned into these by paho.
_REFUSED = {
    129: "it did not understand us",
    130: "it did not understand us",
    131: "its own rules forbid it",
    132: "it does not speak this version of MQTT",
    133: "it does not accept our client id",
    134: "wrong user name or password: correct mqtt.username and mqtt.password",
    135: "this user is not authorised: allow it at the broker, or correct mqtt.username and mqtt.password",
    136: "it is not available now",
    137: "it is busy",
    138: "this client is banned there",
    139: "it is shutting down",
    140: "it asks for another way to log in",
    141: "it heard nothing from us for too long",
    142: "another client uses our client id: is a second bridge running with a copy of this data directory?",
    143: "it does not accept this subscription",
    144: "it does not accept this topic",
    147: "we sent more than it takes at a time",
    149: "a message was too large for it: raise its greatest message size",
    150: "we sent too often for it",
    151: "a quota there is used up",
    152: "somebody ended the connection there",
    153: "it does not accept the format of a message",
    154: "it keeps no messages, and Home Assistant needs it to: allow retained messages at the broker",
    155: "it does not support messages that are confirmed (QoS 1)",
    156: "another server shall be used",
    157: "another server shall be used",
    159: "too many connections in a short time",
    160: "the connection has lasted as long as it allows",
}


class ConnectionFailed(Exception):
    """The connection could not be made, or broke: `sentence` says why, and what to do."""

    def __init__(self, sentence: str, *, is_version: bool = False, is_unexplained: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.is_unexplained = is_unexplained
        """Whether the broker hung up without a reason."""
        self.is_version = is_version
        """Whether it may be that the broker does not speak this version of MQTT."""


class ClosedEarly(aiomqtt.MqttError):
    """The broker closed the connection before it answered CONNECT."""


class NoAnswer(aiomqtt.MqttError):
    """The broker did not answer in time."""


class Gone(aiomqtt.MqttError):
    """The connection ended while an answer was waited for."""


def reason(code: ReasonCode) -> str:
    """Return what the broker means by `code`, as a part of a sentence."""
    return _REFUSED.get(code.value, f"its reason is: {code.getName().lower()}")


def explain_refusal(error: aiomqtt.MqttError, address: Address) -> ConnectionFailed:
    """Return why no connection to `address` came about."""
    if isinstance(error, aiomqtt.MqttCodeError) and isinstance(error.rc, ReasonCode):
        return ConnectionFailed(
            f"The broker at {address} refuses: {reason(error.rc)}.", is_version=error.rc.value in _MAYBE_VERSION
        )
    cause = error.__context__  # aiomqtt keeps only the text of what went wrong below it
    if isinstance(error, ClosedEarly):
        hint = " If it asks for a client certificate, set mqtt.client_certificate." if address.is_encrypted else ""
        return ConnectionFailed(
            f"The broker at {address} closes the connection without an answer.{hint}", is_version=True
        )
    if isinstance(error, NoAnswer | Gone):
        return _not_mqtt(address)
    if isinstance(cause, OSError):
        return ConnectionFailed(_below_mqtt(cause, address))
    return ConnectionFailed(f"No MQTT connection to {address}: {error}.")


def explain_loss(error: BaseException | None) -> ConnectionFailed:
    """Return why a connection that stood has ended."""
    if isinstance(error, aiomqtt.MqttCodeError) and isinstance(error.rc, ReasonCode):
        if error.rc.value == 128:  # what paho makes of a connection that is simply gone
            return ConnectionFailed("The broker closed the connection.", is_unexplained=True)
        return ConnectionFailed(f"The broker ended the connection: {reason(error.rc)}.")
    if isinstance(error, OSError):
        return ConnectionFailed(f"The connection to the broker broke: {error.strerror or error}.")
    return ConnectionFailed("The connection to the broker broke.")


def _not_mqtt(address: Address) -> ConnectionFailed:
    return ConnectionFailed(f"What answers at {address} does not speak MQTT as we know it.", is_version=True)


def _below_mqtt(error: OSError, address: Address) -> str:
    """Say what went wrong before MQTT had a chance: name, network, TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"The certificate of the broker at {address} is not trusted: {error.verify_message}. "
            "mqtt.ca_file names the authority that signed it, and mqtt.url the host that it was made for."
        )
    if isinstance(error, ssl.SSLError):
        why = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
        return f"No encrypted connection to {address}: {why}. Is that the port for TLS (mostly 8883)?"
    if isinstance(error, socket.gaierror):
        return f"The name {address.host} of the MQTT broker is not found: is it spelt right and known in this network?"
    if isinstance(error, ConnectionRefusedError):
        return f"No broker listens at {address}: is it running, and is the port right?"
    if isinstance(error, TimeoutError):
        return f"Nothing answers at {address}: is the address right, and is the machine on?"
    return f"No connection to {address}: {error.strerror or error}."
