"""The typed sections of the configuration: every key with its default, its unit, its range and one sentence.

The annotations are the one place from which the comments of `bridge.toml`, the sentences of errors and the forms of the
settings pages come (`keys_of`). How layers become a `Settings` stands in `bridge.config.layers`; this module reads no
file and no environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Meta


class Secret:
    """A text that must never be shown: prints as `***` everywhere; `reveal` gives it to the one who needs it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself; never log it, never put it into a message."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def _about(sentence: str, *, unit: str | None = None, form: str | None = None) -> Meta:
    """Describe a key: one sentence, its unit, and in words what its text has to look like."""
    return Meta(description=sentence, extra={"unit": unit, "form": form})


_PATH: Final = "a path; a relative one counts from the folder of the file that names it"


class BridgeSection(msgspec.Struct, frozen=True, kw_only=True):
    """The bridge itself."""

    name: Annotated[
        str,
        _about(
            "Host name in the home network (smartbms.local), segment of the MQTT topics, device in Home Assistant.",
            form="1 to 58 of a-z, 0-9 and -, with no - at either end",
        ),
    ] = "smartbms"


class BatterySection(msgspec.Struct, frozen=True, kw_only=True):
    """One battery; there may be any number, told apart by `id`."""

    id: Annotated[
        str,
        _about(
            'Stable name in topics, addresses and history: "bridge" and "bank" are taken.',
            form="1 to 32 of a-z, 0-9, _ and -",
        ),
    ]
    name: Annotated[str, _about("Name that people see.", form="1 to 64 characters")] = "Battery"
    port: Annotated[
        str,
        _about(
            "Where it is: a device path, socket://host:port, rfc2217://host:port, ble://AA:BB:CC:DD:EE:FF or emulated://daly.",
            form="a device path such as /dev/ttyUSB0, or socket://host:port, rfc2217://host:port, "
            "ble://AA:BB:CC:DD:EE:FF, emulated://daly",
        ),
    ]
    protocol: Annotated[
        str,
        _about(
            "Language of the BMS, such as daly; auto finds it out, emulated:// names its own.",
            form="auto, or a protocol such as daly",
        ),
    ] = "auto"
    poll_interval: Annotated[
        float, Meta(ge=0, le=3600), _about("Time between the starts of two readings; 0 = back to back.", unit="s")
    ] = 1.0
    enabled: Annotated[bool, _about("Whether this battery is read at all.")] = True
    address: Annotated[
        Annotated[int, Meta(ge=0, le=255)] | None,
        _about("Number of the BMS on a line that several share; unset: the protocol's usual one."),
    ] = None
    baudrate: Annotated[
        Annotated[int, Meta(ge=300, le=4_000_000)] | None,
        _about("Speed of the line; unset: the protocol's usual one.", unit="bit/s"),
    ] = None
    cells: Annotated[
        Annotated[int, Meta(ge=1, le=48)] | None, _about("Number of cells in series; unset: what the BMS says.")
    ] = None
    capacity: Annotated[
        Annotated[float, Meta(gt=0, le=100_000)] | None, _about("Capacity; unset: what the BMS says.", unit="Ah")
    ] = None
    chemistry: Annotated[
        Literal["auto", "lfp", "nmc", "lto"],
        _about("Kind of cells, which sets the voltages that are believed: lfp, nmc, lto; auto believes 0.5 to 5 V."),
    ] = "auto"
    current_sign: Annotated[
        Literal["auto", "normal", "inverted"],
        _about(
            "Which way the current counts: normal, inverted; "
            "auto learns it from the battery where its protocol leaves it open."
        ),
    ] = "auto"

    @property
    def is_emulated(self) -> bool:
        """Whether this battery is played by the bridge itself: reached by `emulated://`."""
        return self.port.startswith("emulated://")


class MqttSection(msgspec.Struct, frozen=True, kw_only=True):
    """The way to Home Assistant and everything else that speaks MQTT."""

    url: Annotated[
        str,
        _about(
            "The broker: embedded (our own, for trying out), off, or mqtt://user@host:1883, mqtts://, ws://, wss://.",
            form="embedded, off, or a URL such as mqtt://user@host:1883, mqtts://host:8883, ws://host:80/mqtt",
        ),
    ] = "embedded"
    discovery: Annotated[
        Literal["device", "single", "off"],
        _about(
            "How Home Assistant finds batteries: device (2024.11 and later), single (older, and other programs) or off."
        ),
    ] = "device"
    discovery_prefix: Annotated[
        str, _about("Topic under which Home Assistant looks for devices.", form="a topic without + # and spaces")
    ] = "homeassistant"
    birth_topic: Annotated[
        str, _about("Topic on which Home Assistant says that it has started.", form="a topic without + # and spaces")
    ] = "homeassistant/status"
    username: Annotated[
        str | None, _about("User name at the broker; unset: the one in the URL, if any.", form="1 to 256 characters")
    ] = None
    password: Annotated[
        Secret | None,
        _about(
            "Password at the broker; only in secrets.toml in the data directory, below [mqtt], or in the environment.",
            form="1 to 1024 characters",
        ),
    ] = None
    password_file: Annotated[
        str | None, _about("File that holds the password; wins over password.", form=_PATH)
    ] = None
    ca_file: Annotated[
        str | None, _about("Certificates (PEM) that vouch for the broker; unset: those of the system.", form=_PATH)
    ] = None
    client_certificate: Annotated[
        str | None, _about("Certificate (PEM) with which the bridge identifies itself.", form=_PATH)
    ] = None
    client_key: Annotated[
        str | None, _about("Key (PEM) of the client certificate; unset: it is in the same file.", form=_PATH)
    ] = None
    values: Annotated[bool, _about("Whether each value also goes out on a topic of its own.")] = False
    retain_values: Annotated[
        bool, _about("Whether the broker keeps the last of those values, as evcc and controllers like it.")
    ] = False
    publish_interval: Annotated[
        float, Meta(ge=0, le=3600), _about("Least time between two states of a battery; 0 = every reading.", unit="s")
    ] = 0.0
    embedded_bind: Annotated[
        Literal["loopback", "lan"],
        _about("Who reaches the embedded broker: loopback (this machine) or lan (home addresses, with a password)."),
    ] = "loopback"


class WebSection(msgspec.Struct, frozen=True, kw_only=True):
    """The pages and the JSON API."""

    host: Annotated[
        str,
        _about(
            "Address to listen on; :: is every address of both families.",
            form="an address such as ::, 0.0.0.0 or 127.0.0.1",
        ),
    ] = "::"
    port: Annotated[
        int,
        Meta(ge=0, le=65535),
        _about("TCP port of the pages; 0 = any free one. Port 80 is refused: the set-up portal needs it."),
    ] = 6789
    home_access: Annotated[
        Literal["read", "login"], _about("What visitors at home may do: read without logging in, or only after login.")
    ] = "read"
    home_networks: Annotated[
        tuple[str, ...],
        _about(
            "Further networks that count as home, such as a VPN's.",
            form="networks such as 10.8.0.0/24 or 192.168.1.1/32",
        ),
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...],
        _about("Further host names under which the pages are opened.", form="host names such as myhouse.example"),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        _about(
            "Reverse proxies whose word on the visitor's address counts.",
            form="addresses or networks such as 192.168.1.2 or 172.18.0.0/16",
        ),
    ] = ()


class MdnsSection(msgspec.Struct, frozen=True, kw_only=True):
    """Being found as `<name>.local`."""

    enabled: Annotated[bool, _about("Whether the bridge announces itself in the home network.")] = True


class LoggingSection(msgspec.Struct, frozen=True, kw_only=True):
    """What the log tells."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _about("How much the log tells: debug (every frame in hex), info, warning or error."),
    ] = "info"


DEFAULT_BATTERY: Final = BatterySection(id="main", port="emulated://daly")
"""The battery of the shipped configuration; only there, and where no configuration file is found."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration; as it stands here it equals the shipped `bridge.toml`."""

    bridge: BridgeSection = BridgeSection()
    battery: tuple[BatterySection, ...] = (DEFAULT_BATTERY,)
    mqtt: MqttSection = MqttSection()
    web: WebSection = WebSection()
    mdns: MdnsSection = MdnsSection()
    logging: LoggingSection = LoggingSection()


SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType({
    "bridge": BridgeSection, "battery": BatterySection, "mqtt": MqttSection, "web": WebSection, "mdns": MdnsSection,
    "logging": LoggingSection,
})
"""Every section by name, in the order of `bridge.toml`; `battery` is the one that may stand several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is known of one key of a section, for error sentences, comments and forms."""

    name: str
    kind: Literal["bool", "int", "float", "text", "choice", "list", "secret"]
    type: Any
    """The annotated type, for `msgspec.convert`."""
    default: Any
    """None where unset is the default; `msgspec.NODEFAULT` where the key must be given."""
    sentence: str
    unit: str | None
    form: str | None
    """In words what the text has to look like."""
    choices: tuple[str, ...] = ()
    above: float | None = None
    """The value must be greater than this."""
    least: float | None = None
    most: float | None = None

    @property
    def is_required(self) -> bool:
        """Whether there is no default."""
        return self.default is msgspec.NODEFAULT

    @property
    def is_path(self) -> bool:
        """Whether the text is the path of a file."""
        return self.form == _PATH

    @property
    def expected(self) -> str:
        """What the value has to be, in words."""
        match self.kind:
            case "bool":
                return "true or false"
            case "int" | "float":
                number = "a whole number" if self.kind == "int" else "a number"
                low = f"above {self.above:g} and up to" if self.above is not None else f"from {self.least or 0:g} to"
                return f"{number} {low} {self.most or 0:.0f}" + (f" {self.unit}" if self.unit else "")
            case "choice":
                return " or ".join(f'"{choice}"' for choice in self.choices)
            case _:
                return str(self.form)


@cache
def keys_of(section: str) -> Mapping[str, Key]:
    """Return the keys of a section by name, in their order."""
    fields = msgspec.structs.fields(SECTIONS[section])
    described = msgspec.inspect.type_info(SECTIONS[section])
    assert isinstance(described, msgspec.inspect.StructType)
    return MappingProxyType({
        field.name: _key(field, info.type) for field, info in zip(fields, described.fields, strict=True)
    })


def _key(field: msgspec.structs.FieldInfo, info: msgspec.inspect.Type) -> Key:
    assert isinstance(info, msgspec.inspect.Metadata)
    assert info.extra is not None
    assert info.extra_json_schema is not None
    inner = info.type
    if isinstance(inner, msgspec.inspect.UnionType):
        inner = next(member for member in inner.types if not isinstance(member, msgspec.inspect.NoneType))
    kinds: dict[type[msgspec.inspect.Type], Any] = {
        msgspec.inspect.BoolType: "bool", msgspec.inspect.IntType: "int", msgspec.inspect.FloatType: "float",
        msgspec.inspect.StrType: "text", msgspec.inspect.LiteralType: "choice", msgspec.inspect.VarTupleType: "list",
        msgspec.inspect.CustomType: "secret",
    }
    literal = get_args(field.type)[0]
    return Key(
        name=field.name, kind=kinds[type(inner)], type=field.type, default=field.default,
        sentence=info.extra_json_schema["description"], unit=info.extra["unit"], form=info.extra["form"],
        choices=get_args(literal) if get_origin(literal) is Literal else (),
        above=getattr(inner, "gt", None), least=getattr(inner, "ge", None), most=getattr(inner, "le", None),
    )
