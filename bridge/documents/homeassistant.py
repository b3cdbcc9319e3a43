"""Home Assistant discovery: what tells Home Assistant which devices and entities there are.

Pure: the same bridge, battery and layout give the same documents. Valid for Home Assistant 2024.12 and later: an
unknown key at the top of a device document would make it drop the whole device, so nothing fancy stands there. Which
documents went out before, and how one form replaces the other, stands in `discovery_changes`.
Conventions: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.battery.model import BatteryState, DeviceInfo, LinkState
from bridge.battery.quantities import QUANTITIES, Quantity, Shape
from bridge.documents.topics import Topics
from bridge.interfaces import BatteryDescription, Box, Identity

ORIGIN = "SmartBMS Bridge"
MANY_CELLS = 24
"""Above this number of cells their entities exist, but are switched off until somebody wants them."""
HEALTH_INTERVAL = 30.0
"""s between two health documents."""
ALARM_EVENTS = ("alarm_raised", "alarm_cleared")
_SHORTEST_EXPIRY = 60
_LONGEST_TEXT = 255
"""Characters that a state in Home Assistant may have."""

Component = dict[str, Any]
Document = dict[str, Any]

_ALWAYS = (
    "soc", "voltage", "current", "power", "charge_power", "discharge_power",
    "cell_voltage_min", "cell_voltage_max", "cell_voltage_delta", "charge_enabled", "discharge_enabled", "balancing",
)
"""Quantities that every battery is expected to tell; the others get an entity once they were seen."""
_ON_SIGHT = tuple(
    each.key for each in QUANTITIES if each.shape in (Shape.NUMBER, Shape.FLAG) and each.key not in _ALWAYS
)
_BOX_ON_SIGHT = ("under_voltage", "temperature")
"""What only some machines tell of themselves."""
_PRECISION = {"W": 0, "Ah": 1}
"""Digits shown where fewer than the wire's resolution read better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What one battery (or the machine) turned out to have: what its entities depend on."""

    cells: int = 0
    temperatures: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    """Keys of the quantities that not every battery tells, and that this one did."""
    device: DeviceInfo = field(default_factory=DeviceInfo)

    def learn(self, state: BatteryState) -> Layout:
        """Return the layout with what `state` tells; what it leaves open stays as it was."""
        cells = state.cell_count or len(state.cell_voltages) or self.cells
        temperatures = tuple(each.name for each in state.temperatures) or self.temperatures
        new = tuple(key for key in _ON_SIGHT if key not in self.seen and getattr(state, key) is not None)
        device = state.device if state.device != DeviceInfo() else self.device
        if (cells, temperatures, device) == (self.cells, self.temperatures, self.device) and not new:
            return self
        return replace(self, cells=cells, temperatures=temperatures, seen=self.seen + new, device=device)

    def learn_box(self, box: Box) -> Layout:
        """Return the layout with what the machine tells of itself."""
        new = tuple(key for key in _BOX_ON_SIGHT if key not in self.seen and getattr(box, key) is not None)
        return replace(self, seen=self.seen + new) if new else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of Home Assistant: what all its components share, and the components by key."""

    object_id: str
    shared: Document
    components: Mapping[str, Component]

    def device_documents(self, prefix: str) -> dict[str, Document]:
        """Return the one document of the device-based form, by topic."""
        return {f"{prefix}/device/{self.object_id}/config": {**self.shared, "components": dict(self.components)}}

    def single_documents(self, prefix: str) -> dict[str, Document]:
        """Return one document for each component, by topic; Home Assistant sees the same entities in both forms."""
        return {
            f"{prefix}/{component['platform']}/{self.object_id}/{key}/config": {
                **self.shared, **{name: value for name, value in component.items() if name != "platform"}
            }
            for key, component in self.components.items()
        }


def bridge_object_id(uid: str) -> str:
    """Return under which id Home Assistant knows the bridge itself."""
    return f"smartbms_{uid}"


def battery_object_id(uid: str, battery: str) -> str:
    """Return under which id Home Assistant knows one battery."""
    return f"smartbms_{uid}_{battery}"


def is_own_object_id(object_id: str, uid: str) -> bool:
    """Tell whether a discovery document with this id was published by the bridge `uid`."""
    own = bridge_object_id(uid)
    return object_id == own or object_id.startswith(f"{own}_")


def bridge_device(identity: Identity, topics: Topics, *, layout: Layout, url: str | None) -> Device:
    """Return the bridge itself: diagnostics that need nothing but the bridge."""
    shared = {
        "device": _without_none({
            "identifiers": [bridge_object_id(identity.uid)],
            "name": identity.name,
            "manufacturer": ORIGIN,
            "model": "Bridge",
            "sw_version": identity.version,
            "configuration_url": url,
        }),
        "origin": _origin(identity),
        "state_topic": topics.bridge_health,
        "availability": [{"topic": topics.bridge_availability}],
    }
    components = {
        key: _named(component, identity, topics, "bridge", key)
        for key, component in _bridge_components(topics).items()
        if key not in _BOX_ON_SIGHT or key in layout.seen
    }
    return Device(object_id=bridge_object_id(identity.uid), shared=shared, components=components)


def battery_device(
    identity: Identity,
    topics: Topics,
    battery: BatteryDescription,
    *,
    layout: Layout,
    publish_interval: float,
    url: str | None,
) -> Device:
    """Return one battery with every entity that `layout` allows; `publish_interval` thins its states (s)."""
    shared = {
        "device": _without_none({
            "identifiers": [battery_object_id(identity.uid, battery.id)],
            "name": battery.name,
            "manufacturer": layout.device.manufacturer,
            "model": _model(battery, layout.device),
            "serial_number": layout.device.serial,
            "hw_version": layout.device.hardware,
            "sw_version": layout.device.firmware,
            "via_device": bridge_object_id(identity.uid),
            "configuration_url": url,
        }),
        "origin": _origin(identity),
        "state_topic": topics.state(battery.id),
        "availability": [{"topic": topics.bridge_availability}, {"topic": topics.availability(battery.id)}],
        "availability_mode": "all",
    }
    expiry = max(math.ceil(3 * max(battery.poll_interval, publish_interval)), _SHORTEST_EXPIRY)
    readings = _reading_components(layout, topics.state(battery.id))
    components = {key: {**each, "expire_after": expiry} for key, each in readings.items()}
    components |= {"alarm_event": _alarm_event(topics.event(battery.id))}
    components |= _link_components(topics, battery.id)
    return Device(
        object_id=battery_object_id(identity.uid, battery.id),
        shared=shared,
        components={
            key: _named(component, identity, topics, battery.id, key) for key, component in components.items()
        },
    )


def _origin(identity: Identity) -> Document:
    return {"name": ORIGIN, "sw_version": identity.version}


def _named(component: Component, identity: Identity, topics: Topics, owner: str, key: str) -> Component:
    """Give a component its identity, which never depends on a name, a topic or an address."""
    entity_id = f"{component['platform']}.smartbms_{owner}_{key}"
    if topics.bridge != "smartbms":
        entity_id = f"{component['platform']}.{topics.bridge}_{owner}_{key}"
    return {**component, "unique_id": f"{identity.uid}_{owner}_{key}", "default_entity_id": entity_id.replace("-", "_")}


def _model(battery: BatteryDescription, device: DeviceInfo) -> str | None:
    known = device.model or (battery.protocol if battery.protocol != "auto" else None)
    if not battery.emulated:
        return known
    return f"Emulated battery ({known})" if known else "Emulated battery"


def _without_none(document: Document) -> Document:
    return {key: value for key, value in document.items() if value is not None}


# What a reading tells


def _reading_components(layout: Layout, state_topic: str) -> dict[str, Component]:
    components: dict[str, Component] = {}
    for quantity in QUANTITIES:
        if quantity.key in _ALWAYS or quantity.key in layout.seen:
            key = "battery_power" if quantity.key == "power" else quantity.key
            is_number = quantity.shape is Shape.NUMBER
            components[key] = _of_number(quantity) if is_number else _of_flag(quantity, state_topic)
        elif quantity.key == "cell_voltages":
            components |= _of_cells(quantity, layout.cells)
        elif quantity.key == "temperatures":
            components |= {f"temperature_{name}": _of_temperature(quantity, name) for name in layout.temperatures}
        elif quantity.key == "alarms":
            components |= _of_alarms(state_topic)
    return components


def _of_number(quantity: Quantity) -> Component:
    template = f"{{{{ value_json.{quantity.key} | default(none) }}}}"
    if quantity.key == "power":  # Home Assistant counts what the battery gives as positive
        template = "{{ 0 - value_json.power if value_json.power is number else none }}"
    return _sensor(quantity, quantity.name, template)


def _sensor(quantity: Quantity, name: str, template: str) -> Component:
    is_numeric = quantity.unit is not None or quantity.state_class is not None
    return _without_none({
        "platform": "sensor",
        "name": name,
        "value_template": template,
        "device_class": quantity.device_class,
        "state_class": quantity.state_class,
        "unit_of_measurement": quantity.unit,
        "suggested_display_precision": _PRECISION.get(quantity.unit or "", quantity.digits) if is_numeric else None,
        "entity_category": "diagnostic" if quantity.diagnostic else None,
    })


def _of_flag(quantity: Quantity, state_topic: str) -> Component:
    component = _without_none({
        "platform": "binary_sensor",
        "name": quantity.name,
        "value_template": f"{{{{ value_json.{quantity.key} | default(none) }}}}",
        "payload_on": "True",
        "payload_off": "False",
        "device_class": quantity.device_class,
        "entity_category": "diagnostic" if quantity.diagnostic else None,
    })
    if quantity.key == "balancing":
        component |= _attributes(state_topic, "{{ {'cells': value_json.balancing_cells | default([])} | tojson }}")
    return component


def _of_cells(quantity: Quantity, count: int) -> dict[str, Component]:
    switched_off = {"enabled_by_default": False} if count > MANY_CELLS else {}
    return {
        f"cell_voltage_{number}": _sensor(
            quantity,
            f"Cell {number} voltage",
            f"{{{{ (value_json.cell_voltages or [])[{number - 1}] | default(none) }}}}",
        ) | switched_off
        for number in range(1, count + 1)
    }


def _of_temperature(quantity: Quantity, name: str) -> Component:
    return _sensor(
        quantity,
        f"Temperature {name.replace('_', ' ')}",
        "{{ (value_json.temperatures or []) | selectattr('name', 'eq', '" + name + "')"
        " | map(attribute='value') | first | default(none) }}",
    )


def _of_alarms(state_topic: str) -> dict[str, Component]:
    return {
        "problem": {
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            "value_template": "{{ value_json.problem | default(none) }}",
            "payload_on": "True",
            "payload_off": "False",
            **_attributes(state_topic, "{{ {'alarms': value_json.alarms | default([])} | tojson }}"),
        },
        "alarms": {
            "platform": "sensor",
            "name": "Alarms",
            "value_template": "{{ none if (value_json.problem | default(none)) is none else "
            f"(value_json.alarms | map(attribute='code') | unique | join(', ') {_SHORTENED}) or 'none' }}}}",
        },
    }


def _attributes(topic: str, template: str) -> Component:
    return {"json_attributes_topic": topic, "json_attributes_template": template}


_SHORTENED = f"| truncate({_LONGEST_TEXT}, true, '…', 0)"


def _alarm_event(topic: str) -> Component:
    return {"platform": "event", "name": "Alarm", "state_topic": topic, "event_types": list(ALARM_EVENTS)}


# What only needs the bridge


def _kept(key: str) -> str:
    """Return the template for `key` of an object that the broker keeps; none where the topic was cleared."""
    return f"(value_json | default({{}})).{key} | default(none)"


def _link_components(topics: Topics, battery: str) -> dict[str, Component]:
    """Return the diagnostics that say why a battery is not available: they only need the bridge."""
    shared = {
        "state_topic": topics.link(battery),
        "availability": [{"topic": topics.bridge_availability}],
        "entity_category": "diagnostic",
    }
    online = [each.value for each in LinkState if each.is_online]
    return {
        "link_state": {
            "platform": "sensor",
            "name": "Link",
            "value_template": f"{{{{ {_kept('link')} }}}}",
            "device_class": "enum",
            "options": [each.value for each in LinkState],
            **shared,
        },
        "bms_link": {
            "platform": "binary_sensor",
            "name": "Connection",
            "value_template": f"{{% set link = {_kept('link')} %}}{{{{ link in {online} if link else none }}}}",
            "payload_on": "True",
            "payload_off": "False",
            "device_class": "connectivity",
            **shared,
        },
        "last_error": {
            "platform": "sensor",
            "name": "Error",
            "value_template": f"{{{{ ({_kept('error')} or 'none') {_SHORTENED} }}}}",
            **shared,
        },
        "advice": {
            "platform": "sensor",
            "name": "Advice",
            "value_template": f"{{{{ ({_kept('advice')} or 'none') {_SHORTENED} }}}}",
            **shared,
        },
    }


def _bridge_components(topics: Topics) -> dict[str, Component]:
    components = {
        "status": {
            "platform": "sensor", "name": "Status", "device_class": "enum", "options": ["ok", "warn", "bad"],
            "value_template": "{{ value_json.status | default(none) }}",
        },
        "problems": {
            "platform": "sensor", "name": "Problems", "state_class": "measurement",
            "value_template": "{{ value_json.advice | count if value_json.advice is iterable else none }}",
            "suggested_display_precision": 0,
            **_attributes(topics.bridge_health, "{{ {'advice': value_json.advice | default([])} | tojson }}"),
        },
        "version": {
            "platform": "sensor", "name": "Version", "state_topic": topics.bridge_info,
            "value_template": f"{{{{ {_kept('version')} }}}}",
        },
        "started": {
            "platform": "sensor", "name": "Started", "device_class": "timestamp", "state_topic": topics.bridge_info,
            "value_template": f"{{{{ {_kept('started')} }}}}",
        },
        "restart_reason": {
            "platform": "sensor", "name": "Restart reason",
            "value_template": "{{ value_json.restart_reason | default(none) }}",
        },
        "loop_delay": _measure("Loop delay", "loop_delay_p99", "ms", 1, "duration", factor=" * 1000"),
        "process_cpu": _measure("Processor use of the bridge", "process_cpu", "%", 1),
        "total_cpu": _measure("Processor use", "total_cpu", "%", 1),
        "memory": _measure("Memory of the bridge", "memory", "MiB", 1, "data_size", factor=" / 1048576"),
        "disk_free": _measure("Disk free", "disk_free", "GiB", 1, "data_size", factor=" / 1073741824"),
        "temperature": _measure("Processor temperature", "temperature", "°C", 1, "temperature"),
        "under_voltage": {
            "platform": "binary_sensor", "name": "Under-voltage", "device_class": "problem",
            "value_template": "{{ (value_json.box or {}).under_voltage | default(none) }}",
            "payload_on": "True", "payload_off": "False",
        },
    }
    expiring = {"entity_category": "diagnostic", "expire_after": math.ceil(4 * HEALTH_INTERVAL)}
    kept = {"entity_category": "diagnostic"}
    return {
        key: component | (kept if component.get("state_topic") == topics.bridge_info else expiring)
        for key, component in components.items()
    }


def _measure(
    name: str, key: str, unit: str, digits: int, device_class: str | None = None, *, factor: str = ""
) -> Component:
    taken = f"{{% set value = (value_json.box or {{}}).{key} %}}"
    shown = f"{{{{ (value{factor}) | round({digits}) if value is number else none }}}}"
    return _without_none({
        "platform": "sensor",
        "name": name,
        "value_template": taken + shown,
        "device_class": device_class,
        "state_class": "measurement",
        "unit_of_measurement": unit,
        "suggested_display_precision": digits,
    })
