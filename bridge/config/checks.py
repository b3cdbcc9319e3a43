"""What a configured value has to look like beyond its type: names, addresses, URLs, and how keys go together.

Pure: opens nothing and asks nobody whether a port or a broker is really there.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from bridge.config.sections import BatterySection, Key, Secret, Settings
from bridge.errors import ConfigError
from bridge.protocols.registry import driver

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
_MQTT_SCHEMES = ("mqtt", "mqtts", "ws", "wss")
_LATER_PORTS = ("socket", "rfc2217", "ble")
_LONGEST_TEXT = 1024
_LONGEST_SHOWN = 60


def checked(section: str, key: Key, value: object) -> Any:
    """Return `value` in the type of `key`; raise ValueError with the reason, half a sentence, where it does not fit."""
    try:
        converted = msgspec.convert(value, key.type, dec_hook=_secret)
    except msgspec.ValidationError:
        raise ValueError(_mismatch(key, value)) from None
    check = _CHECKS.get((section, key.name))
    for item in converted if key.kind == "list" else (converted,):
        reason = _text_problem(item)
        if reason is None and check is not None:
            reason = check(item)
        if reason is not None:
            raise ValueError(reason or f"expected {key.expected}")
    return converted


def from_text(key: Key, text: str) -> object:
    """Return what `text`, of the environment or the command line, says for `key`; nonsense comes back as it is."""
    match key.kind:
        case "bool":
            return _WORDS.get(text.strip().lower(), text)
        case "int" | "float":
            try:
                return int(text) if key.kind == "int" else float(text)
            except ValueError:
                return text
        case "list":
            return [item.strip() for item in text.split(",") if item.strip()]
        case "secret":
            return text
        case _:
            return text.strip()


def shown(key: Key | None, value: object) -> str:
    """Return `value` as it may stand in a message: on one line, short, without anything secret."""
    if key is not None and key.kind == "secret":
        return "***"
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = re.sub(r'(://[^/:@\s"]*):[^\s"]*@', r"\1:***@", text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be."""
    return next(iter(difflib.get_close_matches(name.lower(), list(known), n=1)), None)


def port_problem(url: str) -> str | None:
    """Say why `url` cannot be the port of a battery ("": it has no such form); None where it can."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return _device_path(url)
    check = _PORT_SCHEMES.get(scheme)
    if check is not None:
        return check(url)
    meant = nearest(scheme, _PORT_SCHEMES)
    return f"did you mean {meant}://?" if meant else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A key that fits alone, but not with the others."""

    section: str
    battery: str | None
    """Id of the battery whose key it is."""
    key: str
    reason: str


def contradictions(settings: Settings, protocols: Collection[str] | None) -> Iterator[Contradiction]:
    """Find the keys that do not go together; `protocols` are the names that this version speaks (None: not asked)."""
    lines: dict[tuple[str, int | None], str] = {}
    for battery in settings.battery:
        emulates = urlsplit(battery.port).netloc if battery.is_emulated else None
        unknown = [
            (key, protocol)
            for key, protocol in (("protocol", battery.protocol), ("port", emulates))
            if protocols is not None and protocol not in (None, "auto", *protocols)
        ]
        for key, protocol in unknown:
            yield _in_battery(battery, key, _unknown_protocol(str(protocol), protocols or ()))
        if emulates and not unknown and battery.protocol not in ("auto", emulates):
            yield _in_battery(battery, "protocol", f'the port emulates {emulates}; leave it at "auto"')
        if protocols and not unknown and (reason := _address_problem(battery, emulates, protocols)):
            yield _in_battery(battery, "address", reason)
        if battery.enabled and not battery.is_emulated:
            other = lines.setdefault((battery.port, battery.address), battery.id)
            if other != battery.id:
                yield _in_battery(battery, "port", f'battery "{other}" is there too; tell them apart by address')
    if settings.mqtt.client_key and not settings.mqtt.client_certificate:
        yield Contradiction(section="mqtt", battery=None, key="client_key", reason="client_certificate is missing")


def remarks(settings: Settings) -> tuple[str, ...]:
    """Say in sentences what is allowed but hardly meant."""
    found = []
    active = [battery for battery in settings.battery if battery.enabled]
    emulated = [battery.id for battery in active if battery.is_emulated]
    if settings.battery and not active:
        found.append("Every battery is switched off: set enabled = true where one is to be read.")
    if not settings.battery:
        found.append(
            'No battery is configured: add [[battery]] with id = "main" and port = "/dev/ttyUSB0" to bridge.toml; '
            "`smartbms detect` finds the port."
        )
    if emulated and len(emulated) < len(active):
        found.append(
            f"Beside the real batteries an emulated one runs ({', '.join(emulated)}): "
            "remove it, or set enabled = false there."
        )
    found += [
        f'Battery "{battery.id}": {urlsplit(battery.port).scheme}:// ports cannot be opened by this version yet.'
        for battery in active
        if urlsplit(battery.port).scheme in _LATER_PORTS
    ]
    if settings.mqtt.password is not None and settings.mqtt.password_file is not None:
        found.append("Both mqtt.password and mqtt.password_file are set: the file is used.")
    return tuple(found)


def _address_problem(battery: BatterySection, emulates: str | None, protocols: Collection[str]) -> str | None:
    """Say why no protocol that this battery may speak has such an address."""
    spoken = emulates or battery.protocol
    reason = None
    for name in protocols if spoken == "auto" else (spoken,):
        try:
            driver(name).hosts(battery.address)
        except ConfigError as error:
            reason = str(error)
        else:
            return None
    return reason


def _in_battery(battery: BatterySection, key: str, reason: str) -> Contradiction:
    return Contradiction(section="battery", battery=battery.id, key=key, reason=reason)


def _secret(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("text is expected")


def _mismatch(key: Key, value: object) -> str:
    match key.kind:
        case "text" | "secret":
            return "expected text, in quotes"
        case "list":
            return 'expected a list of texts in quotes, such as ["…", "…"]'
        case "choice":
            meant = nearest(value, key.choices) if isinstance(value, str) else None
            return f"expected {key.expected}" + (f'; did you mean "{meant}"?' if meant else "")
        case _:
            quoted = isinstance(value, str) and not isinstance(from_text(key, value), str)
            return f"expected {key.expected}" + (", without quotes" if quoted else "")


def _unknown_protocol(name: str, protocols: Collection[str]) -> str:
    meant = nearest(name, protocols)
    return f'did you mean "{meant}"?' if meant else f"expected auto or one of {', '.join(sorted(protocols))}"


def _split(url: str) -> SplitResult | None:
    """Split a URL; None where it is not one."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def _text_problem(value: object) -> str | None:
    """Say what no text may be; whatever else has no such problem."""
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str):
        return None
    if not text.strip():
        return "it is empty"
    if len(text) > _LONGEST_TEXT:
        return f"it is longer than {_LONGEST_TEXT} characters"
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        return "it holds a line break or another control character"
    return None


def _matches(pattern: str) -> Callable[[Any], str | None]:
    compiled = re.compile(pattern)
    return lambda text: None if compiled.fullmatch(text) else ""


def _bridge_name(name: str) -> str | None:
    # A DNS label has 63 characters at most; "-2" after a clash, or "-" and four digits of the uid, must still fit.
    label = re.compile(r"[a-z0-9]([a-z0-9-]{0,56}[a-z0-9])?")
    if label.fullmatch(name):
        return None
    return f'write it in lower case: "{name.lower()}"' if label.fullmatch(name.lower()) else ""


def _battery_id(battery: str) -> str | None:
    if battery in ("bridge", "bank"):
        return "this id is taken by the bridge itself; choose another"
    return None if re.fullmatch(r"[a-z0-9_-]{1,32}", battery) else ""


def _device_path(path: str) -> str | None:
    if path.startswith(("/", "./", "../")):
        return None
    return f"a device path begins with /, such as /dev/{path}" if re.fullmatch(r"tty\w+", path) else ""


def _network_port(url: str) -> str | None:
    parts = _split(url)
    if parts is None or not parts.hostname or parts.path not in ("", "/") or parts.username is not None:
        return ""
    return None if parts.port else f"the port number is missing, as in {parts.scheme}://{parts.hostname}:4001"


def _bluetooth_port(url: str) -> str | None:
    return None if re.fullmatch(r"ble://([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", url) else ""


def _emulated_port(url: str) -> str | None:
    return None if re.fullmatch(r"emulated://[a-z][a-z0-9_]*/?(\?[^#]*)?", url) else ""


def _mqtt_url(url: str) -> str | None:
    if url in ("embedded", "off"):
        return None
    if "://" not in url:
        return f"a broker's address begins with mqtt://, such as mqtt://{url}" if _HOST.fullmatch(url) else ""
    parts = _split(url)
    if parts is None or not parts.hostname or parts.query or parts.fragment:
        return ""
    if parts.scheme not in _MQTT_SCHEMES:
        meant = nearest(parts.scheme, _MQTT_SCHEMES)
        return f"did you mean {meant}://?" if meant else ""
    if parts.password is not None:
        return "a URL shows in logs and pages; put the password into secrets.toml, as password under [mqtt]"
    return None if parts.path in ("", "/") or parts.scheme in ("ws", "wss") else ""


def _topic(topic: str) -> str | None:
    return "" if re.search(r"[+#\s]|^/|/$|//", topic) else None


def _listen_host(host: str) -> str | None:
    return None if _is_address(host) or _HOST.fullmatch(host) else ""


def _web_port(port: int) -> str | None:
    if port == 80:
        return (
            "the set-up portal needs port 80, and 80 must never be the port that a router forwards; "
            "choose another, such as 6789"
        )
    return None


def _network(network: str) -> str | None:
    try:
        parsed = ipaddress.ip_network(network)
    except ValueError:
        try:
            meant = ipaddress.ip_interface(network)
        except ValueError:
            return ""
        return f"write {meant.network} for the network or {meant.ip} for this one address"
    return None if parsed.prefixlen else "that is the whole internet"


def _visited_host(host: str) -> str | None:
    if "://" in host or re.search(r":\d+$|/", host):
        return "expected the host name alone, without http:// and port"
    return None if _HOST.fullmatch(host) else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_WORDS: Final[Mapping[str, bool]] = MappingProxyType({
    "true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False,
})
_PORT_SCHEMES: Final[Mapping[str, Callable[[str], str | None]]] = MappingProxyType({
    "socket": _network_port, "rfc2217": _network_port, "ble": _bluetooth_port, "emulated": _emulated_port,
})
_CHECKS: Final[Mapping[tuple[str, str], Callable[[Any], str | None]]] = MappingProxyType({
    ("bridge", "name"): _bridge_name,
    ("battery", "id"): _battery_id,
    ("battery", "name"): _matches(r".{1,64}"),
    ("battery", "port"): port_problem,
    ("battery", "protocol"): _matches(r"[a-z][a-z0-9_]*"),
    ("mqtt", "url"): _mqtt_url,
    ("mqtt", "discovery_prefix"): _topic,
    ("mqtt", "birth_topic"): _topic,
    ("mqtt", "username"): _matches(r".{1,256}"),
    ("web", "host"): _listen_host,
    ("web", "port"): _web_port,
    ("web", "home_networks"): _network,
    ("web", "allowed_hosts"): _visited_host,
    ("web", "trusted_proxies"): _network,
})
"""What a value, or each item of a list, must pass: None = right, "" = not of the key's form, else the reason."""
