"""The shipped bridge.toml says the same as the code: every key, its default, its unit, its sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.config import Settings
from bridge.config.layers import Document, Layer, resolve
from bridge.config.sections import SECTIONS, keys_of

SHIPPED = Path(__file__).parents[2] / "bridge.toml"


@dataclass(frozen=True)
class Line:
    """A key as it stands in the shipped file, with the comment right above it."""

    section: str
    key: str
    comment: str
    set: bool


def lines_of_the_shipped_file() -> Iterator[Line]:
    section, comment = "", ""
    for line in SHIPPED.read_text(encoding="utf-8").split("\n"):
        if header := re.fullmatch(r"\[\[?(\w+)\]\]?", line):
            section, comment = header[1], ""
        elif key := re.match(r"(#(?: | {5}))?(\w+) = ", line):
            yield Line(section, key[2], comment, set=not key[1])
            comment = ""
        elif text := re.fullmatch(r"# ?(.*)", line):
            comment = f"{comment} {text[1]}".strip()
        else:
            comment = ""


LINES = [line for line in lines_of_the_shipped_file() if line.section]


def shipped(text: bytes) -> Settings:
    return resolve([Document(layer=Layer.FILE, name="bridge.toml", data=text)]).settings


def test_shipped_file_and_built_in_defaults_are_equal() -> None:
    assert shipped(SHIPPED.read_bytes()) == resolve().settings == Settings()


def test_shipped_file_holds_every_key_once_in_order() -> None:
    assert [(line.section, line.key) for line in LINES if line.comment] == [
        (section, key) for section in SECTIONS for key in keys_of(section)
    ]


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.section}.{line.key}")
def test_shipped_comment_is_the_sentence_of_the_key(line: Line) -> None:
    key = keys_of(line.section)[line.key]
    assert line.comment == key.sentence + (f" [{key.unit}]" if key.unit else "")


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.section}.{line.key}")
def test_shipped_file_sets_what_has_a_default_and_comments_out_what_is_unset(line: Line) -> None:
    assert line.set == (keys_of(line.section)[line.key].default is not None)


def test_examples_in_the_shipped_file_are_right_when_the_comment_sign_goes() -> None:
    text = re.sub(r"(?m)^# (\w+ = )", r"\1", SHIPPED.read_text(encoding="utf-8"))
    settings = shipped(text.encode())
    assert settings.battery[0].address == 1
    assert settings.battery[0].capacity == 280.0
    assert settings.mqtt.username == "smartbms"
    assert settings.mqtt.client_key == "/etc/smartbms/client.key"


def test_first_start_reads_one_emulated_battery() -> None:
    settings = shipped(SHIPPED.read_bytes())
    assert [(battery.id, battery.port, battery.is_emulated) for battery in settings.battery] == [
        ("main", "emulated://daly", True)
    ]
    assert (settings.bridge.name, settings.mqtt.url, settings.web.port) == ("smartbms", "embedded", 6789)


def test_every_sentence_is_one_line_and_ends_with_a_full_stop() -> None:
    sentences = [key.sentence for section in SECTIONS for key in keys_of(section).values()]
    assert [sentence for sentence in sentences if not sentence.endswith(".") or len(sentence) > 118] == []
