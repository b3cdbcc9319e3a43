"""Examples in the documentation can be used as they stand."""

from __future__ import annotations

import json
import re

import pytest

from bridge.battery.model import BatteryState
from bridge.config.layers import Document, Layer, resolve
from bridge.documents.reading import reading_document
from bridge.emulator.battery import EmulatedBattery
from bridge.emulator.orders import carry_out
from bridge.emulator.profile import make_recipe, recipe_from_url
from bridge.emulator.scenario import parse_scenario
from bridge.errors import ConfigError
from bridge.protocols.registry import drivers
from tests.docs.pages import BLOCKS, PAGES, Block, Page, page

TOML = [block for block in BLOCKS if block.language == "toml"]
JSON = [block for block in BLOCKS if block.language == "json"]
URLS = sorted({(each, url) for each in PAGES for url in re.findall(r"emulated://[\w?=&.-]+", each.text)}, key=str)
FAULTS = sorted({(each, fault) for each in PAGES for fault in re.findall(r"--fault (\S+)", each.text)}, key=str)


def text_of(block: Block) -> bytes:
    return block.text.encode()


@pytest.mark.parametrize("block", TOML, ids=str)
def test_toml_is_a_configuration_or_a_scenario(block: Block) -> None:
    if "[[step]]" in block.text:
        assert parse_scenario(block.text)
        return
    layer = Layer.SECRETS if "password = " in block.text else Layer.FILE
    document = Document(layer=layer, name="bridge.toml", data=text_of(block))
    resolve([document], protocols=drivers())  # raises where something is wrong


@pytest.mark.parametrize("block", JSON, ids=str)
def test_json_is_valid_and_has_the_keys_of_a_reading(block: Block) -> None:
    document = json.loads(block.text)
    if "battery" in document:
        assert set(document) == set(reading_document(BatteryState(battery="main"), 0.0))


def test_reading_that_is_shown_agrees_with_itself() -> None:
    document = next(json.loads(block.text) for block in JSON if '"battery"' in block.text)
    cells = document["cell_voltages"]
    assert len(cells) == document["cell_count"]
    assert document["cell_voltage_min"] == min(cells) == cells[document["cell_min_number"] - 1]
    assert document["cell_voltage_max"] == max(cells) == cells[document["cell_max_number"] - 1]
    assert document["voltage"] == pytest.approx(sum(cells), abs=0.05)
    assert document["power"] == pytest.approx(document["voltage"] * document["current"], abs=0.1)
    assert document["discharge_power"] - document["charge_power"] == -document["power"]


@pytest.mark.parametrize(("where", "url"), URLS, ids=str)
def test_url_of_an_emulated_battery_is_understood(where: Page, url: str) -> None:
    assert recipe_from_url(url.rstrip(".")).driver.name in drivers()


@pytest.mark.parametrize(("where", "fault"), FAULTS, ids=str)
def test_fault_is_understood(where: Page, fault: str) -> None:
    assert len(make_recipe("daly", [("fault", fault)]).faults) == 1


def test_orders_that_are_shown_are_carried_out() -> None:
    orders = next(block.text for block in page("docs/emulator.md").blocks if "current day" in block.text)
    battery = EmulatedBattery(make_recipe("daly"), clock=lambda: 0.0)
    for order in orders.splitlines():
        carry_out(battery, order)


def test_settings_of_the_emulator_are_all_there() -> None:
    with pytest.raises(ConfigError, match="It has cells, ") as refused:
        make_recipe("daly", [("xyz", "1")])
    has = re.search(r"It has (.+)\.", str(refused.value))
    assert has is not None
    rows = re.findall(r"(?m)^\| `(\w+)` \|", page("docs/emulator.md").text.partition("## Faults")[0])
    assert sorted(rows) == sorted(has[1].split(", "))


def test_refusal_that_is_shown_is_the_real_one() -> None:
    text = b'[[battery]]\nid = "main"\nprot = "/dev/ttyUSB0"\n'
    with pytest.raises(ConfigError) as refused:
        resolve([Document(layer=Layer.FILE, name="bridge.toml", data=text)])
    first = str(refused.value).splitlines()[0]
    assert first in page("docs/configuration.md").text
