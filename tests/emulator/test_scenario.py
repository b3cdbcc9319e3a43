"""Scenario files: what they can say, and the sentence for each thing that they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.emulator.faults import Fault
from bridge.emulator.scenario import Event, parse_scenario, read_scenario
from bridge.errors import ConfigError


def test_steps_become_events_in_order_of_time() -> None:
    events = parse_scenario("""
        [[step]]
        at = 20
        soc = 50
        [[step]]
        at = 5.5
        current = -40.0
        temperature = -3
    """)

    assert events == (Event(at=5.5, current=-40.0, temperature=-3.0), Event(at=20.0, soc=50.0))


def test_for_ends_the_current_the_temperature_and_the_fault() -> None:
    events = parse_scenario("""
        [[step]]
        at = 10
        current = 30
        temperature = 0
        fault = "corrupt=0.02"
        for = 60
    """)

    assert events == (
        Event(at=10.0, current=30.0, temperature=0.0, faults=(Fault("corrupt", 0.02, 60.0),)),
        Event(at=70.0, ends_current=True, ends_temperature=True),
    )


def test_end_that_a_later_step_overtook_does_not_happen() -> None:
    events = parse_scenario("""
        [[step]]
        at = 0
        current = -10
        for = 60
        [[step]]
        at = 30
        current = -20
    """)

    assert events == (Event(at=0.0, current=-10.0), Event(at=30.0, current=-20.0))


def test_faults_may_be_several_and_be_ended() -> None:
    events = parse_scenario("""
        [[step]]
        at = 1
        fault = ["drop=0.1", "delay=50"]
        [[step]]
        at = 2
        fault = "none"
    """)

    assert events == (
        Event(at=1.0, faults=(Fault("drop", 0.1), Fault("delay", 50.0))),
        Event(at=2.0, ends_faults=True),
    )


def test_file_with_byte_order_mark_and_windows_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "story.toml"
    path.write_bytes(b"\xef\xbb\xbf[[step]]\r\nat = 1\r\nsoc = 20\r\n")

    assert read_scenario(path) == (Event(at=1.0, soc=20.0),)


def test_empty_scenario_is_one_where_nothing_happens() -> None:
    assert parse_scenario("# quiet\n") == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[step]]\nat = 1\ncurent = 3", 'There is no key "curent" in story, step 1. Did you mean "current"?'),
        ("[[step]]\nsoc = 3", '"at" is missing in story, step 1. It says when: seconds after the start.'),
        ("[[step]]\nat = -1\nsoc = 3", '"at" in story, step 1 must be a number from 0 to 3.2e+07 s.'),
        ("[[step]]\nat = 0\n[[step]]\nat = 1\nsoc = 101", '"soc" in story, step 2 must be a number from 0 to 100 %.'),
        ('[[step]]\nat = 0\nsoc = "50"', '"soc" in story, step 1 must be a number from 0 to 100 %.'),
        ("[[step]]\nat = true\nsoc = 5", '"at" in story, step 1 must be a number from 0 to 3.2e+07 s.'),
        ("[[step]]\nat = nan\nsoc = 5", '"at" in story, step 1 must be a number from 0 to 3.2e+07 s.'),
        ('[[step]]\nat = 0\nfault = "silense"', 'There is no fault "silense". Did you mean "silence"?'),
        ("[[step]]\nat = 0\nfault = 3",
         '"fault" in story, step 1 must be text such as "corrupt=0.02", or a list of such.'),
        ("[[step]]\nat = 0\nsoc = 4\nfor = 3", '"for" in story, step 1 has nothing that could last.'),
        ("[step]\nat = 0", "The steps of a scenario are written as [[step]]."),
        ("[[steps]]\nat = 0", 'There is no key "steps" in a scenario. It consists of [[step]].'),
    ],
)  # fmt: skip
def test_mistake_is_told_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text, where="story")

    assert str(caught.value) == sentence


def test_text_that_is_no_toml_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^The scenario story is not valid TOML: "):
        parse_scenario("[[step\n", where="story")


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory\.$"):
        read_scenario(tmp_path / "none.toml")
