"""Where the broker is and how to get in: the URL, the credentials and the TLS files of the configuration.

Knows nothing of MQTT itself. Reading files blocks: `Access.read` belongs into a thread.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bridge.config import MqttSection
from bridge.errors import ServiceError

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a broker is."""

    scheme: str
    host: str
    port: int
    path: str = "/mqtt"
    """Of a WebSocket."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme in ("mqtts", "wss")

    @property
    def is_websocket(self) -> bool:
        """Whether MQTT is wrapped in a WebSocket there."""
        return self.scheme in ("ws", "wss")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An address with everything that is needed to get in."""

    address: Address
    username: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None

    @classmethod
    def read(cls, url: str, settings: MqttSection) -> Access:
        """Parse `url` and read the files that `settings` names; blocks."""
        address = parse(url)
        return cls(
            address=address,
            username=settings.username or address.username,
            password=_password(settings) or address.password,
            tls=_tls_context(settings) if address.is_encrypted else None,
        )


def parse(url: str) -> Address:
    """Return the address in `url`; raise ServiceError with what a URL has to look like."""
    advice = "It has to look like mqtt://user@host:1883, mqtts://host:8883, ws://host/mqtt or wss://host/mqtt."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ServiceError("The URL of the MQTT broker cannot be understood.", advice=advice) from error
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ServiceError("The URL of the MQTT broker cannot be understood.", advice=advice)
    return Address(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        path=parts.path if parts.path not in ("", "/") else "/mqtt",
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def _password(settings: MqttSection) -> str | None:
    if settings.password_file is not None:
        try:
            return Path(settings.password_file).read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ServiceError(
                f"The password file {settings.password_file} of [mqtt] cannot be read: {_why(error)}.",
                advice="Correct mqtt.password_file, or make the file readable for this user.",
            ) from error
    return settings.password.reveal() if settings.password is not None else None


def _tls_context(settings: MqttSection) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # ssl.SSLError is one: a file that holds no certificate
        raise ServiceError(
            f"The certificates in {settings.ca_file} cannot be used: {_why(error)}.",
            advice="mqtt.ca_file has to name a PEM file with the certificate that vouches for the broker.",
        ) from error
    if settings.client_certificate is not None:
        try:
            context.load_cert_chain(settings.client_certificate, settings.client_key, password="")
        except (OSError, ValueError) as error:
            raise ServiceError(
                f"The client certificate {settings.client_certificate} cannot be used: {_why(error)}.",
                advice="mqtt.client_certificate and mqtt.client_key have to name PEM files that belong together; "
                "the key must not need a password.",
            ) from error
    return context


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "reason", None) or error).replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
