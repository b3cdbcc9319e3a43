"""A house with a battery, a broker and Home Assistant, and the comparison of what is shown with what was published."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.nightly.expected_entities import HEALTH, LINK, READING, Document, Entity
from tests.nightly.home_assistant import HomeAssistant, home_assistant
from tests.rig import Bridge, Emulated, Subscriber, bridge, wait_until

STEP = 0.2
"""s between two looks at Home Assistant."""
VALUES_WITHIN = 45.0
"""s in which everything has arrived; the bridge's health is told every 30 s."""
States = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class House:
    """A broker, a battery on a serial line, and what is needed to start Home Assistant and the bridge."""

    folder: Path
    python: Path
    """It has Home Assistant."""
    broker: int
    battery: Emulated
    readings: Subscriber = field(repr=False)
    links: Subscriber = field(repr=False)
    health: Subscriber = field(repr=False)

    @contextlib.contextmanager
    def home_assistant(self, *, but_for: str | None = None) -> Iterator[HomeAssistant]:
        """Run Home Assistant; a second time it knows what it knew.

        In the end it must have nothing to complain of, but for what holds the text `but_for`.
        """
        with home_assistant(self.python, self.folder, self.broker) as home:
            yield home
        complaints = [each for each in home.complaints if but_for is None or but_for not in each]
        if complaints:
            pytest.fail("\n".join(["Home Assistant complains:", *complaints]), pytrace=False)

    @contextlib.contextmanager
    def bridge(self, *, discovery: str = "device", batteries: str = "") -> Iterator[Bridge]:
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
        documents = self.kept("homeassistant/#").values()
        components = (each for document in documents for each in document.get("components", {"": document}).values())
        return {each["unique_id"] for each in components}

    def wait_for_battery(self, home: HomeAssistant) -> None:
        """Wait until everything of the battery is shown as the bridge publishes it now."""
        wait_for_values(home, "main", READING, self.readings)
        wait_for_values(home, "main", LINK, self.links)

    def wait_for_everything(self, home: HomeAssistant) -> None:
        """Wait for what the bridge tells of itself too."""
        self.wait_for_battery(home)
        wait_for_values(home, "bridge", HEALTH, self.health)


def by_key(home: HomeAssistant, owner: str) -> dict[str, dict[str, Any]]:
    """Return the registered entities of one battery, or of `bridge`, by component key."""
    parted = {tuple(name.split("_", 2)): each for name, each in home.entities().items()}
    return {key: each for (_, battery, key), each in parted.items() if battery == owner}


def states_by_key(home: HomeAssistant, owner: str) -> States:
    """Return what is shown of one battery, or of `bridge`, at one moment; disabled entities show nothing."""
    entities, states = by_key(home, owner), home.states()
    return {key: states[each["entity_id"]] for key, each in entities.items() if each["entity_id"] in states}


def unavailable(states: States) -> set[str]:
    """Return the keys of the entities that are not available."""
    return {key for key, each in states.items() if each["state"] == "unavailable"}


def declared(entity: Mapping[str, Any], state: Mapping[str, Any]) -> Entity:
    """Return what Home Assistant took from an entity's declaration."""
    attributes = state["attributes"]
    return Entity(
        platform=entity["entity_id"].partition(".")[0],
        unit=attributes.get("unit_of_measurement"),
        device_class=attributes.get("device_class"),
        state_class=attributes.get("state_class"),
        category=entity["entity_category"],
        precision=entity["options"].get("sensor", {}).get("suggested_display_precision"),
        options=attributes.get("options"),
    )


def wait_for_values(home: HomeAssistant, owner: str, expected: Mapping[str, Entity], source: Subscriber) -> None:
    """Wait until all entities show at once what one of the last objects of `source` holds."""
    differences: dict[str, tuple[str | None, Any]] = {}

    def is_shown() -> bool:
        nonlocal differences
        states = states_by_key(home, owner)
        for _, _, document in [each for each in list(source.messages) if each[1] == owner][-3:]:
            differences = _differences(states, expected, document)
            if not differences:
                return True
        return False

    try:
        wait_until(is_shown, "the values", seconds=VALUES_WITHIN, step=STEP)
    except TimeoutError:
        pytest.fail("\n".join([f"{owner}, shown and expected: {differences}", *home.complaints]), pytrace=False)


def _differences(states: States, expected: Mapping[str, Entity], document: Document) -> dict[str, tuple[Any, Any]]:
    """Return what is shown and what should be, for every entity that does not show its value in `document`."""
    pairs = {
        key: (states[key]["state"] if key in states else None, each.value(document))
        for key, each in expected.items()
    }
    return {key: (shown, value) for key, (shown, value) in pairs.items() if not _shows(shown, value)}


def _shows(state: str | None, value: Any) -> bool:
    """Tell whether Home Assistant's text for a state stands for `value`."""
    match value:
        case _ if state is None:
            return False
        case None:
            return state == "unknown"
        case bool():
            return state == ("on" if value else "off")
        case str():
            return state == value
    try:
        return float(state) == pytest.approx(value, abs=1e-9)
    except ValueError:
        return False
