"""Names that others build on are documented, and no page names one that does not exist."""

from __future__ import annotations

import inspect
import re

import pytest

from bridge.config.layers import Document, Layer, resolve
from bridge.config.sections import SECTIONS, keys_of
from bridge.documents.topics import Topics
from bridge.protocols.daly import ALARMS
from bridge.storage import RunRecord, restart_reason
from tests.docs.pages import PAGES, Page, page
from web.access import Refusal
from web.openapi import openapi_document

_SECTION = "|".join(SECTIONS)
_KEY = re.compile(rf"({_SECTION})\.(?!(?:toml|json|py)\b)([a-z_]+)(?: = (.+))?")
_ALONE = re.compile(r"([a-z_]+) = .+")
_VARIABLE = re.compile(r"SMARTBMS__([A-Z]+)__(?:main__)?([A-Z_]+)")

KEYS = sorted({(each, code) for each in PAGES for code in each.codes if _KEY.fullmatch(code)}, key=str)
ALONE = sorted({(each, code) for each in PAGES for code in each.codes if _ALONE.fullmatch(code)}, key=str)
VARIABLES = sorted({(each, *names) for each in PAGES for names in _VARIABLE.findall(each.text)}, key=str)


@pytest.mark.parametrize(("where", "code"), KEYS, ids=str)
def test_key_exists_and_takes_the_value(where: Page, code: str) -> None:
    found = _KEY.fullmatch(code)
    assert found is not None
    section, name, value = found.groups()
    assert name in keys_of(section)
    if value is not None:
        text = f"[{section}]\n{name} = {value}\n".encode()
        resolve([Document(layer=Layer.FILE, name="bridge.toml", data=text)])  # raises where something is wrong


@pytest.mark.parametrize(("where", "code"), ALONE, ids=str)
def test_key_without_its_section_exists(where: Page, code: str) -> None:
    found = _ALONE.fullmatch(code)
    assert found is not None
    assert any(found[1] in keys_of(section) for section in SECTIONS)


@pytest.mark.parametrize(("where", "section", "name"), VARIABLES, ids=str)
def test_environment_variable_exists(where: Page, section: str, name: str) -> None:
    assert (section, name) == ("SECTION", "KEY") or name.lower() in keys_of(section.lower())


def test_every_topic_is_documented() -> None:
    topics = Topics("<bridge>")
    given = {"battery": "<battery>", "key": "<key>", "number": "<n>"}
    text = page("docs/mqtt.md").text
    for name, member in inspect.getmembers(Topics):
        if name.startswith("_") or name == "bridge":
            continue
        if isinstance(member, property):
            topic = getattr(topics, name)
        else:
            wanted = [each for each in inspect.signature(member).parameters if each != "self"]
            topic = member(topics, *(given[each] for each in wanted))
        assert f"`{topic}`" in text


def test_every_alarm_of_a_driver_is_documented() -> None:
    codes = set(page("docs/mqtt.md").codes)
    assert {code for code, _ in ALARMS.values()} <= codes


def test_every_address_is_documented() -> None:
    codes = set(page("docs/http-api.md").codes)
    assert set(openapi_document("0")["paths"]) <= codes


def test_every_refusal_is_documented() -> None:
    codes = set(page("docs/http-api.md").codes)
    assert {each.value for each in Refusal} <= codes


def test_every_reason_of_a_restart_is_documented() -> None:
    runs = [None, *(RunRecord(pid=1, version="0", boot=boot, stopped=stopped)
                    for boot in ("this", "other") for stopped in (True, False))]  # fmt: skip
    codes = set(page("docs/troubleshooting.md").codes)
    assert {restart_reason(run, "this") for run in runs} <= codes
