"""Home Assistant itself, headless, through a real broker: what it makes of a bridge with a battery on a serial line.

Everything is looked at through Home Assistant's own API, and after each test its log must hold no warning.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.nightly.expected_entities import BOX, EVENTS, HEALTH, INFO, LINK, READING, Document, Expected
from tests.nightly.home_assistant import HomeAssistant, InstallationFailed, home_assistant, install
from tests.rig import Bridge, Emulated, Subscriber, bridge, emulated_battery, mosquitto, wait_until

pytestmark = [pytest.mark.nightly, pytest.mark.needs("mosquitto", "python3.13"), pytest.mark.timeout(1800)]

MAIN = {**READING, **LINK, **EVENTS}
GONE = "unavailable"
STEP = 0.2
"""s between two looks at Home Assistant."""
HEALTH_WITHIN = 45.0
"""s in which the bridge's health, which it tells every 30 s, has to arrive."""


@pytest.fixture(scope="session")
def hass(program: Callable[[str], str]) -> Path:
    try:
        return install(program("python3.13"))
    except InstallationFailed as error:
        pytest.fail(f"Home Assistant cannot be installed: {error}", pytrace=False)


@dataclass(frozen=True)
class House:
    """A broker, a battery on a serial line, and what is needed to start Home Assistant and the bridge."""

    folder: Path
    hass: Path
    broker: int
    battery: Emulated
    states: Subscriber
    links: Subscriber
    health: Subscriber

    @contextlib.contextmanager
    def home_assistant(self) -> Iterator[HomeAssistant]:
        """Run Home Assistant; a second time it knows what it knew. In the end it must have nothing to complain of."""
        with home_assistant(self.hass, self.folder, self.broker) as home:
            yield home
        assert home.complaints == []

    @contextlib.contextmanager
    def bridge(self, discovery: str = "device", batteries: str = "") -> Iterator[Bridge]:
        """Run the bridge with the battery, and with `batteries` besides."""
        with bridge(
            self.folder,
            f'[[battery]]\nid = "main"\nname = "House battery"\nport = "{self.battery.port}"\nprotocol = "daly"\n'
            f'{batteries}[mqtt]\nurl = "mqtt://127.0.0.1:{self.broker}"\ndiscovery = "{discovery}"\n'
            '[web]\nhost = "127.0.0.1"\nport = 0\n[mdns]\nenabled = false\n',
        ) as running:
            yield running

    def kept(self, topics: str) -> dict[str, Any]:
        """Return what the broker keeps now, by topic."""
        command = ["mosquitto_sub", "-p", str(self.broker), "-t", topics, "--retained-only", "-F", "%t %p", "-W", "1"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        return {topic: json.loads(payload) for topic, _, payload in (line.partition(" ") for line in lines)}

    def announced(self) -> set[str]:
        """Return the unique id of every component in the discovery documents that the broker keeps."""
        found = set()
        for document in self.kept("homeassistant/#").values():
            found |= {each["unique_id"] for each in document.get("components", {"": document}).values()}
        return found

    def info(self) -> Document:
        """Return what the bridge says about itself."""
        document: Document = self.kept("smartbms/smartbms/bridge/info")["smartbms/smartbms/bridge/info"]
        return document


@pytest.fixture
def house(tmp_path: Path, hass: Path) -> Iterator[House]:
    with (
        mosquitto(tmp_path) as broker,
        emulated_battery(tmp_path, "--latency", "2") as battery,
        Subscriber(broker) as states,
        Subscriber(broker, "smartbms/+/+/link") as links,
        Subscriber(broker, "smartbms/+/+/health") as health,
    ):
        yield House(
            folder=tmp_path, hass=hass, broker=broker, battery=battery, states=states, links=links, health=health
        )


# What Home Assistant shows, compared with what was expected


@dataclass(frozen=True)
class View:
    """What Home Assistant shows of the entities of one battery or of the bridge, at one moment."""

    states: Mapping[str, Mapping[str, Any]]
    """By component key."""

    @staticmethod
    def of(home: HomeAssistant, owner: str) -> View:
        """Take it; entities without a state (disabled ones) are left out."""
        states = home.states()
        return View({
            key: states[each["entity_id"]]
            for key, each in by_key(home, owner).items()
            if each["entity_id"] in states
        })

    def differences(self, expected: Mapping[str, Expected], document: Document) -> dict[str, tuple[str | None, Any]]:
        """Return what is shown and what should be, for every entity that does not show the value in `document`."""
        shown = {key: self.states[key]["state"] if key in self.states else None for key in expected}
        wanted = {key: each.value(document) for key, each in expected.items()}
        return {key: (shown[key], wanted[key]) for key in expected if not shows(shown[key], wanted[key])}

    def unavailable(self) -> set[str]:
        """Return the keys of the entities that are not available."""
        return {key for key, each in self.states.items() if each["state"] == GONE}


def by_key(home: HomeAssistant, owner: str) -> dict[str, dict[str, Any]]:
    """Return the registry's entities of one battery, or of `bridge`, by component key."""
    entities = home.entities().items()
    return {name.split("_", 2)[2]: each for name, each in entities if name.split("_", 2)[1] == owner}


def shows(state: str | None, value: Any) -> bool:
    """Tell whether Home Assistant's text for a state stands for `value`."""
    if state is None:
        return False
    if value is None:
        return state == "unknown"
    if isinstance(value, bool):
        return state == ("on" if value else "off")
    if isinstance(value, str):
        return state == value
    try:
        return float(state) == pytest.approx(value, abs=1e-9)
    except ValueError:
        return False


def wait_for_values(home: HomeAssistant, owner: str, expected: Mapping[str, Expected], source: Subscriber) -> None:
    """Wait until all entities show at once what one of the last objects of `source` holds."""
    differences: dict[str, tuple[str | None, Any]] = {}

    def is_shown() -> bool:
        nonlocal differences
        view = View.of(home, owner)
        for _, _, document in [each for each in list(source.messages) if each[1] == owner][-3:]:
            differences = view.differences(expected, document)
            if not differences:
                return True
        return False

    try:
        wait_until(is_shown, "the values", seconds=HEALTH_WITHIN, step=STEP)
    except TimeoutError:
        pytest.fail(f"{owner}, shown and expected: {differences}; {home.complaints}", pytrace=False)


def wait_for_everything(house: House, home: HomeAssistant) -> None:
    """Wait until battery and bridge show what the bridge publishes now."""
    wait_for_values(home, "main", READING, house.states)
    wait_for_values(home, "main", LINK, house.links)
    wait_for_values(home, "bridge", HEALTH, house.health)


def declared(entity: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Home Assistant took from an entity's declaration."""
    attributes = state["attributes"]
    return {
        "platform": entity["entity_id"].partition(".")[0],
        "unit": attributes.get("unit_of_measurement"),
        "device_class": attributes.get("device_class"),
        "state_class": attributes.get("state_class"),
        "category": entity["entity_category"],
        "precision": entity["options"].get("sensor", {}).get("suggested_display_precision"),
        "options": attributes.get("options"),
    }


def wanted(expected: Expected) -> dict[str, Any]:
    return {name: getattr(expected, name) for name in declared({"entity_id": "", "entity_category": None, "options": {}},
                                                               {"attributes": {}})}


# The rules


def test_every_announced_entity_is_declared_as_expected(house: House) -> None:
    with house.home_assistant() as home, house.bridge():
        wait_for_everything(house, home)
        battery, box = by_key(home, "main"), by_key(home, "bridge")
        views = {"main": View.of(home, "main").states, "bridge": View.of(home, "bridge").states}
        announced, registered = house.announced(), set(home.entities())
    machine = {key: BOX[key] for key in BOX.keys() & box.keys()}
    assert registered == announced
    assert battery.keys() == MAIN.keys()
    assert box.keys() == {**HEALTH, **INFO, **machine}.keys()
    for owner, entities, expected in (("main", battery, MAIN), ("bridge", box, {**HEALTH, **INFO, **machine})):
        shown = {key: declared(entities[key], views[owner][key]) for key in expected}
        assert shown == {key: wanted(each) for key, each in expected.items()}
