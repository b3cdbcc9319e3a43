"""What the documentation points to is there."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES, PATHS, ROOT, Page, page

_FOLDERS = "bridge|web|tests|docs|packaging|provisioning|benchmarks|firmware_images"
_PATH = re.compile(rf"(?:{_FOLDERS})/[\w./-]*|[\w-]+\.(?:toml|md)")
_OF_THE_USER = {"secrets.toml", "settings.toml", "winter.toml"}

LINKS = [(each, link) for each in PAGES for link in each.links if "://" not in link]
NAMED = [(each, code) for each in PAGES for code in each.codes if _PATH.fullmatch(code) and code not in _OF_THE_USER]


@pytest.mark.parametrize(("source", "link"), LINKS, ids=str)
def test_link_leads_somewhere(source: Page, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = source.path if not path else (source.path.parent / path).resolve()
    assert target.exists()
    if anchor:
        assert anchor in Page(target).anchors


@pytest.mark.parametrize(("source", "name"), NAMED, ids=str)
def test_file_that_is_named_exists(source: Page, name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("each", [each for each in PAGES if each.path.parent != ROOT], ids=str)
def test_readme_leads_to_every_page(each: Page) -> None:
    assert str(each) in page("README.md").links


def test_every_image_is_shown() -> None:
    shown = {(each.path.parent / link).resolve() for each in PAGES for link in each.links}
    assert set((ROOT / "docs" / "images").iterdir()) <= shown


def test_shipped_configuration_names_a_page_that_exists() -> None:
    named = re.findall(r"docs/[\w-]+\.md", (ROOT / "bridge.toml").read_text(encoding="utf-8"))
    assert named
    assert {ROOT / each for each in named} <= set(PATHS)
