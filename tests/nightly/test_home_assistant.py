"""Home Assistant itself, headless, through a real broker: what it makes of a bridge with a battery on a serial line.

Everything is looked at through Home Assistant's own API, and after each test its log must hold no warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nightly.expected_entities import BOX, EVENTS, HEALTH, INFO, LINK, READING
from tests.nightly.home_assistant import HomeAssistant, InstallationFailed, install
from tests.nightly.house import STEP, House, States, by_key, declared, states_by_key, unavailable, wait_for_values
from tests.rig import Subscriber, emulated_battery, mosquitto, wait_until

pytestmark = [pytest.mark.nightly, pytest.mark.needs("mosquitto", "python3.13"), pytest.mark.timeout(1800)]

MAIN = {**READING, **LINK, **EVENTS}
SPARE = '[[battery]]\nid = "spare"\nname = "Spare battery"\nport = "emulated://daly?cells={}"\n'


@pytest.fixture(scope="session")
def python(program: Callable[[str], str]) -> Path:
    """Return an interpreter that has Home Assistant."""
    try:
        return install(program("python3.13"))
    except InstallationFailed as error:
        pytest.fail(f"Home Assistant cannot be installed: {error}", pytrace=False)


@pytest.fixture
def house(tmp_path: Path, python: Path) -> Iterator[House]:
    with (
        mosquitto(tmp_path) as broker,
        emulated_battery(tmp_path, "--latency", "2") as battery,
        Subscriber(broker) as readings,
        Subscriber(broker, "smartbms/+/+/link") as links,
        Subscriber(broker, "smartbms/+/+/health") as health,
    ):
        yield House(
            folder=tmp_path, python=python, broker=broker, battery=battery,
            readings=readings, links=links, health=health,
        )


# What is there


def test_every_announced_entity_shows_its_value_as_declared(house: House) -> None:
    with house.home_assistant() as home, house.bridge():
        house.wait_for_everything(home)
        announced, registered = house.announced(), set(home.entities())
        entities = {owner: by_key(home, owner) for owner in ("main", "bridge")}
        states = {owner: all_available(home, owner) for owner in entities}
        info = house.kept("smartbms/+/bridge/info")["smartbms/smartbms/bridge/info"]
    bridge = {**HEALTH, **INFO, **{key: BOX[key] for key in BOX.keys() & entities["bridge"].keys()}}
    assert registered == announced
    for owner, expected in (("main", MAIN), ("bridge", bridge)):
        shown = {key: declared(each, states[owner][key]) for key, each in entities[owner].items()}
        assert shown == expected
    assert states["bridge"]["version"]["state"] == info["version"]
    assert states["bridge"]["started"]["state"].partition("+")[0] == info["started"].partition(".")[0]


def all_available(home: HomeAssistant, owner: str) -> States:
    """Return the states once none is missing: an entity whose declaration changed waits for its next value."""
    seen: States = {}

    def is_available() -> bool:
        nonlocal seen
        seen = states_by_key(home, owner)
        return not unavailable(seen)

    wait_until(is_available, f"that everything of {owner} is available", step=STEP)
    return seen


def test_battery_is_a_device_behind_the_bridge(house: House) -> None:
    with house.home_assistant() as home, house.bridge() as running:
        house.wait_for_battery(home)
        uid = running.get("/api/health")["uid"]
        page = f"http://127.0.0.1:{running.web_port}"
        reading = house.readings.messages[-1][2]
        devices, entities = home.devices(), home.entities()
    assert devices.keys() == {f"smartbms_{uid}", f"smartbms_{uid}_main"}
    bridge, battery = devices[f"smartbms_{uid}"], devices[f"smartbms_{uid}_main"]
    assert (bridge["name"], bridge["via_device_id"]) == ("smartbms", None)
    assert (battery["name"], battery["via_device_id"]) == ("House battery", bridge["id"])
    assert (battery["manufacturer"], battery["serial_number"]) == ("Daly", reading["device"]["serial"])
    assert bridge["configuration_url"] == battery["configuration_url"] == page
    for name, each in entities.items():
        assert each["device_id"] == (bridge["id"] if name.startswith(f"{uid}_bridge_") else battery["id"])


def test_power_can_be_chosen_on_the_energy_dashboard(house: House) -> None:
    """The dashboard offers power sensors by their long-term statistics: class, unit, and that a mean is kept."""
    with house.home_assistant() as home, house.bridge():
        house.wait_for_battery(home)
        entities = by_key(home, "main")
        statistics = {each["statistic_id"]: each for each in home.ask("recorder/list_statistic_ids")}
        wrong = home.ask("recorder/validate_statistics")
    for key in ("battery_power", "charge_power", "discharge_power"):
        found = statistics[entities[key]["entity_id"]]
        assert (found["unit_class"], found["statistics_unit_of_measurement"], found["has_mean"]) == ("power", "W", True)
    charge = statistics[entities["soc"]["entity_id"]]
    assert (charge["statistics_unit_of_measurement"], charge["has_mean"]) == ("%", True)
    assert wrong == {}


def test_emulated_battery_says_so_and_its_many_cells_are_switched_off_at_first(house: House) -> None:
    with house.home_assistant() as home, house.bridge(batteries=SPARE.format(30)):
        cells = {f"cell_voltage_{number}" for number in range(1, 31)}
        wait_until(lambda: by_key(home, "spare").keys() >= cells, "thirty cells", seconds=30, step=STEP)
        entities = by_key(home, "spare")
        models = {each["name"]: each["model"] for each in home.devices().values()}
    assert {key for key, each in entities.items() if each["disabled_by"] == "integration"} == cells
    assert models["Spare battery"].startswith("Emulated battery")
    assert not models["House battery"].startswith("Emulated battery")


# What happens


def test_silent_battery_is_unavailable_and_its_link_says_why(house: House) -> None:
    with house.home_assistant() as home, house.bridge():
        house.wait_for_everything(home)
        house.battery.order("fault silence for 20")
        wait_until(lambda: unavailable(states_by_key(home, "main")) >= EVENTS.keys(), "the loss", step=STEP)
        wait_for_values(home, "main", LINK, house.links)
        main, bridge = states_by_key(home, "main"), states_by_key(home, "bridge")
        wait_for_values(home, "main", READING, house.readings)
        wait_for_values(home, "main", LINK, house.links)
    assert unavailable(main) == READING.keys() | EVENTS.keys()
    assert unavailable(bridge) == set()
    assert main["link_state"]["state"] == "silent"
    assert main["bms_link"]["state"] == "off"
    assert main["last_error"]["state"] == "bms_data_error"
    assert len(main["advice"]["state"]) > len("none")


def test_alarm_shows_as_problem_and_as_event(house: House) -> None:
    with house.home_assistant() as home, house.bridge():
        house.wait_for_battery(home)
        house.battery.order("current -10")
        house.battery.order("soc 4")
        wait_until(lambda: states_by_key(home, "main")["problem"]["state"] == "on", "the alarm", seconds=15, step=STEP)
        wait_for_values(home, "main", READING, house.readings)
        states, reading = states_by_key(home, "main"), house.readings.messages[-1][2]
    assert "soc_low" in states["alarms"]["state"]
    assert states["problem"]["attributes"]["alarms"] == reading["alarms"]
    assert states["alarm_event"]["attributes"]["event_type"] == "alarm_raised"
    assert states["alarm_event"]["attributes"]["code"] in {each["code"] for each in reading["alarms"]}


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_nothing_is_available_without_the_bridge(house: House, is_killed: bool) -> None:
    def all_gone() -> bool:
        shown = states_by_key(home, "main"), states_by_key(home, "bridge")
        return all(unavailable(each) == each.keys() for each in shown)

    with house.home_assistant() as home:
        with house.bridge() as running:
            house.wait_for_battery(home)
            if is_killed:
                running.kill()
        wait_until(all_gone, "that everything is unavailable", seconds=10, step=STEP)


def test_everything_is_back_after_home_assistant_restarts(house: House) -> None:
    with house.bridge() as running, Subscriber(house.broker, "homeassistant/device/+/config") as documents:
        with house.home_assistant() as home:
            house.wait_for_everything(home)
            before = home.entities()
        told = len(documents.messages)
        with house.home_assistant() as home:
            house.wait_for_everything(home)
            wait_until(lambda: len(documents.messages) >= told + 2, "both documents in answer to the birth message")
            after = home.entities()
        assert running.process.poll() is None
    assert entries(after) == entries(before)


def entries(entities: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the registry's entries without the moment of the last write."""
    return {
        name: {key: value for key, value in each.items() if key != "modified_at"} for name, each in entities.items()
    }


def test_change_of_the_discovery_form_keeps_entities_and_what_their_owner_made_of_them(house: House) -> None:
    # Home Assistant has let go of the entities before their old device topic is cleared, and then says that it found
    # none there. Cleared any later it would complain for each entity: there is no way back without a warning.
    with house.home_assistant(but_for="No device components to cleanup") as home:
        with house.bridge(discovery="device"):
            house.wait_for_everything(home)
            rename(home, by_key(home, "main")["battery_power"]["entity_id"], "sensor.my_power", "My power")
            before, devices = home.entities(), home.devices()
        for form, other in (("single", "device"), ("device", "sensor")):
            with house.bridge(discovery=form):
                house.wait_for_everything(home)
                assert entries(home.entities()) == entries(before)
                assert {name: each["id"] for name, each in home.devices().items()} == {
                    name: each["id"] for name, each in devices.items()
                }
                assert house.announced() == before.keys()
                assert house.kept(f"homeassistant/{other}/#") == {}
        shown = home.states()
    assert shown["sensor.my_power"]["attributes"]["friendly_name"].endswith("My power")


def rename(home: HomeAssistant, entity_id: str, new_entity_id: str, name: str) -> None:
    """Do what an owner does in the settings of an entity."""
    home.ask("config/entity_registry/update", entity_id=entity_id, new_entity_id=new_entity_id, name=name)


def test_battery_that_was_taken_out_leaves_nothing_behind(house: House) -> None:
    with house.home_assistant() as home:
        with house.bridge(batteries=SPARE.format(8)):
            wait_until(lambda: "soc" in by_key(home, "spare"), "the second battery", step=STEP)
            house.wait_for_battery(home)
        with house.bridge():
            wait_until(lambda: not by_key(home, "spare"), "the end of its entities", step=STEP)
            house.wait_for_battery(home)
            names = {each["name"] for each in home.devices().values()}
            announced, registered = house.announced(), set(home.entities())
    assert names == {"smartbms", "House battery"}
    assert registered == announced


@pytest.mark.parametrize("form", ["device", "single"])
def test_discovery_that_is_switched_off_leaves_nothing_behind(house: House, form: str) -> None:
    with house.home_assistant() as home:
        with house.bridge(discovery=form):
            house.wait_for_battery(home)
        with house.bridge(discovery="off"):
            wait_until(lambda: not home.entities() and not home.devices(), "the end of all entities", step=STEP)
            assert house.kept("homeassistant/#") == {}
