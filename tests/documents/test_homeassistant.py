from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bridge.battery.model import (
    Alarm,
    AlarmLevel,
    BatteryState,
    DeviceInfo,
    LinkState,
    LinkStatus,
    Temperature,
)
from bridge.documents.bridge import health_document, info_document
from bridge.documents.homeassistant import Device, Layout, battery_device, bridge_device, is_own_object_id
from bridge.documents.reading import link_document, reading_document
from bridge.documents.topics import Topics
from bridge.interfaces import BatteryDescription, Box, Health, Identity
from tests.golden.golden import assert_golden

IDENTITY = Identity(uid="12ab34cd", name="smartbms", version="1.2.3", build="f00")
TOPICS = Topics("smartbms")
DALY = BatteryDescription(
    id="main", name="Battery", port="/dev/ttyUSB0", protocol="daly", emulated=False, poll_interval=1.0
)
EMULATED = BatteryDescription(
    id="main", name="Battery", port="emulated://daly", protocol="daly", emulated=True, poll_interval=1.0
)
FRESH = Layout()
SIXTEEN = Layout(
    cells=16,
    temperatures=("cell_1", "mosfet"),
    seen=("remaining_capacity", "full_capacity", "cycles", "cell_count", "cell_min_number", "cell_max_number"),
    device=DeviceInfo(manufacturer="Daly", firmware="V1.01"),
)
TOP_LEVEL = {"device", "origin", "components", "availability", "availability_mode", "state_topic"}
"""Of the keys that Home Assistant 2024.12 accepts at the top, those that we use."""
DEVICE_KEYS = {
    "identifiers", "connections", "manufacturer", "model", "name", "hw_version", "sw_version", "serial_number",
    "suggested_area", "configuration_url", "via_device",
}
READING = BatteryState(
    battery="main",
    link=LinkStatus(state=LinkState.OK, since=1_795_226_400.0),
    time=1_795_226_401.5,
    accepted_at=100.0,
    voltage=53.12,
    current=-12.3,
    power=-653.4,
    charge_power=0.0,
    discharge_power=653.4,
    soc=76.5,
    remaining_capacity=214.2,
    full_capacity=280.0,
    cycles=12,
    cell_count=16,
    cell_voltages=(3.321, 3.319, None, *(3.32,) * 13),
    cell_voltage_min=3.319,
    cell_voltage_max=3.321,
    cell_min_number=2,
    cell_max_number=1,
    cell_voltage_delta=0.002,
    temperatures=(Temperature(name="cell_1", value=21.0), Temperature(name="mosfet", value=None)),
    charge_enabled=True,
    discharge_enabled=False,
    alarms=(Alarm(code="cell_overvoltage", level=AlarmLevel.WARNING), Alarm(code="soc_low", level=AlarmLevel.FAULT)),
    alarms_known=True,
)
HEALTH = Health(
    status="warn",
    uptime=12.34,
    restart_reason="boot",
    box=Box(
        loop_delay_p99=0.0123, process_cpu=1.5, total_cpu=20.0, memory=50 * 1024 * 1024, under_voltage=False,
        temperature=51.2, disk_free=3 * 1024**3,
    ),
    services=(),
    advice=("Raise poll_interval to 2.",),
)


def battery(layout: Layout = SIXTEEN, description: BatteryDescription = DALY, **options: Any) -> Device:
    return battery_device(
        IDENTITY, options.pop("topics", TOPICS), description, layout=layout,
        publish_interval=options.pop("publish_interval", 0.0), url="http://192.168.1.5:6789/",
    )


def bridge(layout: Layout = FRESH) -> Device:
    return bridge_device(IDENTITY, TOPICS, layout=layout, url="http://192.168.1.5:6789/")


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the device documents of every kind of device."""
    for device in (bridge(), bridge(Layout(seen=("under_voltage", "temperature"))), battery(FRESH), battery()):
        yield from device.device_documents("homeassistant").items()


def render(template: str, payload: Any) -> str:
    """Render as Home Assistant does for a value template: the text is what counts."""
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.Undefined)
    return environment.from_string(template).render(value=json.dumps(payload), value_json=payload).strip()


def entity(device: Device, key: str, payload: Any) -> str:
    """Return what Home Assistant makes of `payload` for one component; "None" is unknown."""
    return render(device.components[key]["value_template"], json.loads(json.dumps(payload)))


# Golden files


def test_bridge_document_is_as_agreed() -> None:
    device = bridge(Layout(seen=("under_voltage",)))
    assert_golden("homeassistant_bridge.json", device.device_documents("homeassistant"))


def test_document_of_a_pack_with_16_cells_is_as_agreed() -> None:
    assert_golden("homeassistant_16_cells.json", battery().device_documents("homeassistant"))


def test_document_of_an_emulated_pack_with_4_cells_and_unknown_temperatures_is_as_agreed() -> None:
    layout = Layout(cells=4, seen=("soh",))
    assert_golden("homeassistant_4_cells.json", battery(layout, EMULATED).device_documents("homeassistant"))


def test_single_documents_are_as_agreed() -> None:
    assert_golden("homeassistant_single.json", battery(Layout(cells=4)).single_documents("homeassistant"))


# What Home Assistant demands


def test_only_accepted_keys_stand_at_the_top() -> None:
    for _, document in documents():
        assert set(document) <= TOP_LEVEL
        assert set(document["device"]) <= DEVICE_KEYS
        assert set(document["origin"]) <= {"name", "sw_version", "support_url"}


def test_unique_ids_are_unique_and_follow_the_rule() -> None:
    seen = [
        (component["unique_id"], owner, key)
        for owner, device in (("bridge", bridge(Layout(seen=("under_voltage", "temperature")))), ("main", battery()))
        for key, component in device.components.items()
    ]
    assert len({unique_id for unique_id, _, _ in seen}) == len(seen)
    for unique_id, owner, key in seen:
        assert unique_id == f"12ab34cd_{owner}_{key}"


def test_no_component_key_ends_with_another_after_an_underscore() -> None:
    """Else a battery `a` with the key `b_c` and a battery `a_b` with the key `c` would be one entity."""
    keys = list(battery(Layout(cells=2, temperatures=("cell_1", "mosfet", "sensor_1"), seen=("soh",))).components)
    clashes = [(long, short) for long in keys for short in keys if long.endswith(f"_{short}")]
    assert clashes == []


def test_every_component_has_platform_id_and_entity_id_of_its_platform() -> None:
    for _, document in documents():
        for key, component in document["components"].items():
            assert component["platform"] in {"sensor", "binary_sensor", "event"}
            assert component["unique_id"]
            assert component["default_entity_id"].startswith(f"{component['platform']}.smartbms_"), key
            assert component["default_entity_id"].endswith(f"_{key}")


def test_enum_sensors_name_their_options_and_have_no_unit() -> None:
    enums = [
        component
        for _, document in documents()
        for component in document["components"].values()
        if component.get("device_class") == "enum"
    ]
    assert enums
    for component in enums:
        assert component["options"]
        assert not component.keys() & {"unit_of_measurement", "state_class"}


def test_link_state_may_be_any_of_the_table() -> None:
    assert battery().components["link_state"]["options"] == [
        "starting", "ok", "late", "asleep", "silent", "noisy", "stale", "unplugged", "updating",
    ]


def test_units_fit_the_device_class() -> None:
    allowed: dict[str | None, set[str | None]] = {
        "battery": {"%"}, "voltage": {"V"}, "current": {"A"}, "power": {"W"}, "temperature": {"°C"},
        "duration": {"ms"}, "data_size": {"MiB", "GiB"}, "enum": {None}, "timestamp": {None},
        None: {None, "%", "Ah", "cycles"},
    }
    for _, document in documents():
        for component in document["components"].values():
            if component["platform"] == "sensor":
                assert component.get("unit_of_measurement") in allowed[component.get("device_class")]


def test_sensors_are_never_of_the_category_config() -> None:
    for _, document in documents():
        for component in document["components"].values():
            assert component.get("entity_category") in {None, "diagnostic"}


def test_topics_of_discovery_hold_only_allowed_characters() -> None:
    for topic, _ in documents():
        assert all(character.isalnum() or character in "_-/" for character in topic)


def test_both_forms_name_the_same_entities() -> None:
    """Home Assistant sees one entity where the single topic is <platform>/<device>/<component key>."""
    device = battery()
    (document,) = device.device_documents("homeassistant").values()
    singles = device.single_documents("homeassistant")
    assert set(singles) == {
        f"homeassistant/{component['platform']}/smartbms_12ab34cd_main/{key}/config"
        for key, component in document["components"].items()
    }
    single = singles["homeassistant/sensor/smartbms_12ab34cd_main/soc/config"]
    assert single["unique_id"] == document["components"]["soc"]["unique_id"]
    assert single["device"] == document["device"]
    assert single["availability"] == document["availability"]
    assert "platform" not in single


# Identity, availability, expiry


def test_identity_does_not_depend_on_name_or_topic() -> None:
    renamed = battery_device(
        Identity(uid="12ab34cd", name="shed", version="2", build="x"), Topics("shed"), DALY,
        layout=SIXTEEN, publish_interval=0.0, url=None,
    )
    before = battery()
    assert renamed.object_id == before.object_id == "smartbms_12ab34cd_main"
    assert {key: each["unique_id"] for key, each in renamed.components.items()} == {
        key: each["unique_id"] for key, each in before.components.items()
    }
    assert renamed.components["soc"]["default_entity_id"] == "sensor.shed_main_soc"


@pytest.mark.parametrize(
    ("object_id", "is_own"),
    [
        ("smartbms_12ab34cd", True),
        ("smartbms_12ab34cd_main", True),
        ("smartbms_12ab34cde_main", False),
        ("smartbms_99999999_main", False),
        ("zigbee_12ab34cd", False),
    ],
)
def test_own_documents_are_told_by_the_uid(object_id: str, is_own: bool) -> None:
    assert is_own_object_id(object_id, "12ab34cd") is is_own


def test_battery_needs_the_bridge_and_its_own_availability() -> None:
    shared = battery().shared
    assert shared["availability"] == [
        {"topic": "smartbms/smartbms/bridge/availability"}, {"topic": "smartbms/smartbms/main/availability"},
    ]
    assert shared["availability_mode"] == "all"


@pytest.mark.parametrize("key", ["link_state", "bms_link", "last_error", "advice"])
def test_link_diagnostics_only_need_the_bridge(key: str) -> None:
    component = battery().components[key]
    assert component["availability"] == [{"topic": "smartbms/smartbms/bridge/availability"}]
    assert component["state_topic"] == "smartbms/smartbms/main/link"
    assert "expire_after" not in component


@pytest.mark.parametrize(
    ("poll_interval", "publish_interval", "seconds"),
    [(1.0, 0.0, 60), (30.0, 0.0, 90), (1.0, 45.5, 137), (0.0, 0.0, 60)],
)
def test_values_expire_after_three_intervals_and_a_minute_at_least(
    poll_interval: float, publish_interval: float, seconds: int
) -> None:
    description = BatteryDescription(
        id="main", name="Battery", port="/dev/ttyUSB0", protocol="daly", emulated=False, poll_interval=poll_interval
    )
    device = battery(description=description, publish_interval=publish_interval)
    assert device.components["soc"]["expire_after"] == seconds
    assert device.components["charge_enabled"]["expire_after"] == seconds


def test_battery_hangs_on_the_bridge() -> None:
    assert battery().shared["device"]["via_device"] in bridge().shared["device"]["identifiers"]


def test_emulated_battery_says_so_as_its_model() -> None:
    assert battery(description=EMULATED).shared["device"]["model"] == "Emulated battery (daly)"
    assert battery().shared["device"]["model"] == "daly"


# Which entities there are


def test_entities_of_the_energy_dashboard_are_there_from_the_start() -> None:
    components = battery(FRESH).components
    assert "power" not in components
    for key in ("battery_power", "charge_power", "discharge_power"):
        assert components[key]["device_class"] == "power"
        assert components[key]["state_class"] == "measurement"
        assert components[key]["unit_of_measurement"] == "W"
    assert components["soc"]["state_class"] == "measurement"


def test_cell_difference_is_in_volts_with_three_digits() -> None:
    component = battery().components["cell_voltage_delta"]
    assert (component["unit_of_measurement"], component["suggested_display_precision"]) == ("V", 3)


def test_only_one_sensor_is_the_battery_level() -> None:
    levels = [key for key, each in battery().components.items() if each.get("device_class") == "battery"]
    assert levels == ["soc"]


def test_cells_are_enabled_up_to_24_and_switched_off_above() -> None:
    assert "enabled_by_default" not in battery(Layout(cells=24)).components["cell_voltage_1"]
    many = battery(Layout(cells=25)).components
    assert {many[f"cell_voltage_{number}"]["enabled_by_default"] for number in range(1, 26)} == {False}


def test_layout_learns_what_a_reading_tells() -> None:
    layout = FRESH.learn(READING)
    assert layout.cells == 16
    assert layout.temperatures == ("cell_1", "mosfet")
    assert set(layout.seen) == {
        "remaining_capacity", "full_capacity", "cycles", "cell_count", "cell_min_number", "cell_max_number",
    }
    assert layout.learn(READING) is layout


def test_missing_block_takes_no_entity_away() -> None:
    layout = FRESH.learn(READING)
    without = BatteryState(battery="main", link=LinkStatus(state=LinkState.OK), accepted_at=101.0, voltage=53.1)
    assert layout.learn(without) is layout


def test_other_pack_with_fewer_cells_takes_cells_away() -> None:
    eight = BatteryState(battery="main", cell_count=8, cell_voltages=(3.3,) * 8)
    components = battery(FRESH.learn(READING).learn(eight)).components
    assert "cell_voltage_8" in components
    assert "cell_voltage_9" not in components


def test_machine_without_a_supply_monitor_gets_no_such_entity() -> None:
    assert "under_voltage" not in bridge(FRESH.learn_box(Box(memory=1))).components
    assert "under_voltage" in bridge(FRESH.learn_box(Box(under_voltage=False))).components


# Templates


def test_templates_of_a_reading_give_the_right_values() -> None:
    device = battery()
    document = reading_document(READING, 100.2)
    assert {key: entity(device, key, document) for key in device.components if key not in _NOT_OF_A_READING} == {
        "soc": "76.5", "voltage": "53.12", "current": "-12.3",
        "battery_power": "653.4",  # giving is positive in Home Assistant
        "charge_power": "0.0", "discharge_power": "653.4",
        "remaining_capacity": "214.2", "full_capacity": "280.0", "cycles": "12", "cell_count": "16",
        "cell_voltage_1": "3.321", "cell_voltage_2": "3.319", "cell_voltage_3": "None",
        **{f"cell_voltage_{number}": "3.32" for number in range(4, 17)},
        "cell_voltage_min": "3.319", "cell_voltage_max": "3.321", "cell_min_number": "2", "cell_max_number": "1",
        "cell_voltage_delta": "0.002",
        "temperature_cell_1": "21.0", "temperature_mosfet": "None",
        "charge_enabled": "True", "discharge_enabled": "False", "balancing": "None",
        "problem": "True", "alarms": "cell_overvoltage, soc_low",
    }


_NOT_OF_A_READING = ("alarm_event", "link_state", "bms_link", "last_error", "advice")


@pytest.mark.parametrize("payload", [reading_document(BatteryState(battery="main"), 0.0), {}])
def test_templates_make_unknown_of_null_and_of_missing_keys(payload: dict[str, Any]) -> None:
    device = battery()
    values = {key: entity(device, key, payload) for key in device.components if key not in _NOT_OF_A_READING}
    assert values == dict.fromkeys(values, "None")


def test_charging_is_negative_battery_power_and_rest_is_plain_zero() -> None:
    device = battery()
    assert entity(device, "battery_power", {"power": 500.0}) == "-500.0"
    assert entity(device, "battery_power", {"power": 0.0}) == "0.0"


def test_full_battery_is_no_problem_and_no_alarm_is_said_in_a_word() -> None:
    device = battery()
    full = BatteryState(
        battery="main", alarms_known=True, alarms=(Alarm(code="soc_high", level=AlarmLevel.WARNING),)
    )
    fine = BatteryState(battery="main", alarms_known=True)
    assert entity(device, "problem", reading_document(full, 0.0)) == "False"
    assert entity(device, "problem", reading_document(fine, 0.0)) == "False"
    assert entity(device, "alarms", reading_document(full, 0.0)) == "soc_high"
    assert entity(device, "alarms", reading_document(fine, 0.0)) == "none"


def test_texts_fit_into_a_state() -> None:
    device = battery()
    alarms = [{"code": f"some_rather_long_alarm_code_{number}", "level": "fault", "cell": None} for number in range(40)]
    text = entity(device, "alarms", {"problem": True, "alarms": alarms})
    assert len(text) == 255
    assert text.startswith("some_rather_long_alarm_code_0, some_")
    assert len(entity(device, "advice", {"advice": "wake it up " * 100})) == 255


def test_attributes_of_the_problem_list_the_alarms() -> None:
    template = battery().components["problem"]["json_attributes_template"]
    alarms = [{"code": "soc_low", "level": "fault", "cell": None}]
    assert json.loads(render(template, {"alarms": alarms})) == {"alarms": alarms}
    assert json.loads(render(template, {})) == {"alarms": []}


def test_link_templates_say_why() -> None:
    device = battery()
    silent = link_document(
        LinkStatus(state=LinkState.SILENT, since=1.0, error="bms_data_error", advice="Wake the battery.")
    )
    assert [entity(device, key, silent) for key in ("link_state", "bms_link", "last_error", "advice")] == [
        "silent", "False", "bms_data_error", "Wake the battery.",
    ]
    late = link_document(LinkStatus(state=LinkState.LATE))
    assert [entity(device, key, late) for key in ("link_state", "bms_link", "last_error", "advice")] == [
        "late", "True", "none", "none",
    ]


@pytest.mark.parametrize(
    ("device", "key", "shown"),
    [
        (battery(), "link_state", "None"), (battery(), "bms_link", "None"),
        (battery(), "last_error", "none"), (battery(), "advice", "none"),
        (bridge(), "version", "None"), (bridge(), "started", "None"),
    ],
)
def test_topic_that_the_broker_keeps_may_be_cleared(device: Device, key: str, shown: str) -> None:
    """Home Assistant renders an empty message without `value_json`, and logs what is undefined then."""
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    assert environment.from_string(device.components[key]["value_template"]).render(value="") == shown


def test_bridge_templates_give_the_right_values() -> None:
    device = bridge(Layout(seen=("under_voltage", "temperature")))
    health = health_document(HEALTH)
    info = info_document(IDENTITY, batteries=["main"], started=1_795_226_400.0, url=None)
    values = {
        key: entity(device, key, info if component.get("state_topic", "").endswith("/info") else health)
        for key, component in device.components.items()
    }
    assert values == {
        "status": "warn", "problems": "1", "version": "1.2.3", "started": "2026-11-21T02:00:00.000Z",
        "restart_reason": "boot", "loop_delay": "12.3", "process_cpu": "1.5", "total_cpu": "20.0", "memory": "50.0",
        "disk_free": "3.0", "temperature": "51.2", "under_voltage": "False",
    }


@pytest.mark.parametrize(
    "payload", [{}, {"box": None, "advice": None, "status": None}, {"box": dict.fromkeys(("memory", "process_cpu"))}]
)
def test_bridge_templates_make_unknown_of_null_and_of_missing_keys(payload: dict[str, Any]) -> None:
    device = bridge(Layout(seen=("under_voltage", "temperature")))
    values = {key: entity(device, key, payload) for key in device.components if key != "problems"}
    assert values == dict.fromkeys(values, "None")
