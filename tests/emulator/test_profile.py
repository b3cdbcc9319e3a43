"""What a port URL of an emulated battery asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.emulator.faults import Fault
from bridge.emulator.profile import make_recipe, recipe_from_url
from bridge.emulator.scenario import Event
from bridge.errors import ConfigError
from bridge.protocols import registry


def test_plain_daly_is_a_sixteen_cell_pack_at_its_protocols_speed() -> None:
    recipe = recipe_from_url("emulated://daly")

    assert (recipe.design.cells, recipe.design.chemistry, recipe.design.capacity) == (16, "lfp", 280.0)
    assert (recipe.baudrate, recipe.on_pty) == (9600, True)
    assert recipe.design.device.manufacturer == "Daly"


def test_everything_in_a_url_is_heard(tmp_path: Path) -> None:
    scenario = tmp_path / "story.toml"
    scenario.write_text("[[step]]\nat = 3\nsoc = 20\n")

    recipe = recipe_from_url(
        "emulated://daly?cells=8&latency=7.5&pty=0&seed=9&baud=19200&chemistry=nmc&capacity=100&soc=33&sensors=4"
        f"&address=2&padded=1&frame_origin=0&current_sign=inverted&unsupported=0x54,87&fault=corrupt=0.02&fault=silence=5"
        f"&scenario={scenario}"
    )

    design = recipe.design
    assert (design.cells, design.chemistry, design.capacity, design.soc, design.seed) == (8, "nmc", 100.0, 33.0, 9)
    assert design.sensors == ("sensor_1", "sensor_2", "sensor_3", "sensor_4")
    assert recipe.latency == pytest.approx(0.0075)
    assert (recipe.baudrate, recipe.on_pty) == (19200, False)
    assert recipe.variant.address == 2
    assert recipe.variant.options == {
        "padded": True, "frame_origin": 0, "current_sign": "inverted", "unsupported": (0x54, 87),
    }  # fmt: skip
    assert recipe.faults == (Fault("corrupt", 0.02), Fault("silence", 1.0, 5.0))
    assert recipe.events == (Event(at=3.0, soc=20.0),)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("emulated://daly?cels=16", 'An emulated battery has no setting "cels". Did you mean "cells"?'),
        ("emulated://daly?cells=x", '"cells" of an emulated battery must be a whole number from 1 to 255, not "x".'),
        ("emulated://daly?soc=120", '"soc" of an emulated battery must be a number from 0 to 100, not "120".'),
        ("emulated://daly?soc=nan", '"soc" of an emulated battery must be a number from 0 to 100, not "nan".'),
        ("emulated://daly?pty=maybe",
         '"pty" of an emulated battery must be one of 1, 0, on, off, true, false, not "maybe".'),
        ("emulated://daly?chemistry=lead",
         '"chemistry" of an emulated battery must be one of lfp, nmc, lto, not "lead".'),
        ("emulated://daly?cells=49", "Daly (A5) knows at most 48 cells, not 49."),
        ("emulated://daly?fault=corupt=0.1", 'There is no fault "corupt". Did you mean "corrupt"?'),
        ("emulated://", "emulated:// is not the URL of an emulated battery. It looks like emulated://daly?cells=16."),
    ],
)  # fmt: skip
def test_mistake_in_a_url_is_told_in_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe_from_url(url)

    assert str(caught.value) == sentence


def test_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'dayl'.*daly"):
        recipe_from_url("emulated://dayl")


def test_every_protocol_has_a_profile() -> None:
    for name in registry.drivers():
        assert make_recipe(name).driver.name == name
