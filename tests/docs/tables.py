"""The tables of the documentation that follow from the code. Each returns its lines of Markdown."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from bridge.battery.link import ADVICE, DATA_ERROR_STATES
from bridge.battery.model import LinkState
from bridge.battery.quantities import QUANTITIES, Shape
from bridge.config.sections import SECTIONS, Key, keys_of
from bridge.documents.homeassistant import Device, Layout, battery_device, bridge_device
from bridge.documents.metrics import metrics_text
from bridge.documents.topics import Topics
from bridge.emulator.faults import FAULTS
from bridge.interfaces import BatteryDescription, Box, Health, Identity
from bridge.protocols.registry import drivers
from tests.docs.pages import ROOT

Lines = list[str]

_IDENTITY = Identity(uid="00000000", name="smartbms", version="0", build="0")
_TOPICS = Topics("smartbms")
_SEEN = tuple(each.key for each in QUANTITIES if each.shape is not Shape.LIST)
_NUMBERED = re.compile(r"(cell_voltage|temperature_sensor)_(\d+)")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Lines:
    heads = list(heads)
    return [_line(heads), "|" + "---|" * len(heads), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"


# --- batteries


def devices() -> Lines:
    rows = []
    for driver in drivers().values():
        path = f"tests/captures/{driver.name}.toml"
        captures = tomllib.loads((ROOT / path).read_text(encoding="utf-8"))["capture"]
        kinds = Counter(each["kind"].startswith("captured") for each in captures)
        evidence = f"[{kinds[True]} frames from devices, {kinds[False]} from documents and other projects]({path})"
        rows.append((driver.title, f"`{driver.name}`", f"{driver.line.baudrate} bit/s", evidence))
    return table(("BMS", "`protocol`", "line", "evidence"), rows)


_WHEN = {
    LinkState.STARTING: "nothing accepted yet, in the first 10 s",
    LinkState.OK: "the age is at most 2 T",
    LinkState.LATE: "the age is at most 3 T + 1 s",
    LinkState.ASLEEP: "the last answer was the protocol's sign of sleep",
    LinkState.SILENT: "not a byte to three questions or more",
    LinkState.NOISY: "bytes, but no valid frame",
    LinkState.STALE: "valid frames, every one refused",
    LinkState.UNPLUGGED: "the port is not there or cannot be opened",
    LinkState.UPDATING: "firmware is being written (no version does that yet)",
}


def link_states() -> Lines:
    rows = []
    for state in LinkState:
        error = "`bms_data_error`" if state in DATA_ERROR_STATES else ""
        shown = "live" if state.is_online else "unknown"
        rows.append((f"`{state.value}`", _WHEN[state], shown, error, ADVICE.get(state, "")))
    return table(("state", "when", "values", "error", "what the bridge advises"), rows)


def quantities() -> Lines:
    plain = {"cell_voltages": "`cells/<n>`", "temperatures": "`values/temperature_<name>`"}
    rows = [
        (
            f"`{each.key}`",
            each.name,
            each.unit or "",
            "true, false" if each.shape is Shape.FLAG else "list" if each.shape is Shape.LIST else "number",
            "" if each.digits is None else str(each.digits),
            plain.get(each.key, "" if each.shape is Shape.LIST else f"`values/{each.key}`"),
        )
        for each in QUANTITIES
    ]
    return table(("key", "what", "unit", "type", "decimals", "plain value"), rows)


# --- outputs


def battery_entities() -> Lines:
    layout = Layout(cells=2, temperatures=("sensor_1", "sensor_2"), seen=_SEEN)
    battery = BatteryDescription(
        id="main", name="", port="", protocol="daly", emulated=False, poll_interval=1.0
    )  # fmt: skip
    return _entities(battery_device(_IDENTITY, _TOPICS, battery, layout=layout, publish_interval=0.0, url=None))


def bridge_entities() -> Lines:
    layout = Layout(seen=("under_voltage", "temperature"))
    return _entities(bridge_device(_IDENTITY, _TOPICS, layout=layout, url=None))


def _entities(device: Device) -> Lines:
    rows = []
    for key, component in device.components.items():
        numbered = _NUMBERED.fullmatch(key)
        if numbered and numbered[2] != "1":
            continue
        shown = f"{numbered[1]}_<n>" if numbered else key
        name = component["name"].replace("1", "*n*") if numbered else component["name"]
        kind = component["platform"].replace("_", " ")
        diagnostic = "yes" if component.get("entity_category") == "diagnostic" else ""
        rows.append((name, f"`{shown}`", kind, component.get("unit_of_measurement", ""), diagnostic))
    return table(("entity", "key", "kind", "unit", "diagnostic"), rows)


def metrics() -> Lines:
    box = Box(
        loop_delay_p99=0.0, process_cpu=0.0, total_cpu=0.0, memory=0, under_voltage=False, temperature=0.0, disk_free=0
    )
    health = Health(status="ok", uptime=0.0, restart_reason="", box=box, services=(), advice=())
    text = metrics_text([], health=health, identity=_IDENTITY, now=0.0).decode()
    told = re.findall(r"^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$", text, re.MULTILINE)
    return table(("metric", "meaning", "type"), ((f"`{name}`", meaning, kind) for name, meaning, kind in told))


# --- configuration and emulator


def keys(section: str) -> Lines:
    rows = ((f"`{key.name}`", _default(section, key), key.sentence, _values(key)) for key in keys_of(section).values())
    return table(("key", "default", "what", "value"), rows)


def _default(section: str, key: Key) -> str:
    if key.is_required:
        return "has to be given"
    if key.default is None:
        return "unset"
    default: Any = list(key.default) if isinstance(key.default, tuple) else key.default
    return f"`{json.dumps(default)}`"


def _values(key: Key) -> str:
    return key.expected.replace("<", "&lt;")


def faults() -> Lines:
    rows = ((f"`{name}`", unit.value, does) for name, (unit, does) in FAULTS.items())
    return table(("fault", "value", "what it does"), rows)


TABLES: Mapping[str, Callable[[], Lines]] = {
    "devices": devices,
    "link states": link_states,
    "quantities": quantities,
    "entities battery": battery_entities,
    "entities bridge": bridge_entities,
    "metrics": metrics,
    "faults": faults,
    **{f"keys {section}": partial(keys, section) for section in SECTIONS},
}
"""Every table by the name that stands in its marker."""
