"""The documentation as tests see it: pages with their code, links and headings, in GitHub's Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATHS = (
    *sorted(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: Page
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.strip().splitlines()[0]}"


@dataclass(frozen=True)
class Page:
    """One page."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def blocks(self) -> list[Block]:
        return [
            Block(self, each["language"], textwrap.dedent(each["text"])) for each in _FENCE.finditer(self.text)
        ]

    @property
    def prose(self) -> str:
        """The page without its blocks of code."""
        return _FENCE.sub("", self.text)

    @property
    def codes(self) -> list[str]:
        """What stands in backticks in the prose."""
        return _CODE.findall(self.prose)

    @property
    def links(self) -> list[str]:
        """Where its links and images lead."""
        return [link or image for link, image in _LINK.findall(_CODE.sub("", self.prose))]

    @property
    def anchors(self) -> set[str]:
        """What a link to this page may name after `#`."""
        titles = (each.lower().replace("`", "") for each in _HEADING.findall(self.prose))
        return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


PAGES = [Page(path) for path in PATHS]
BLOCKS = [block for page in PAGES for block in page.blocks]


def page(name: str) -> Page:
    """Return the page at `name`, as seen from the project's folder."""
    return Page(ROOT / name)


def commands() -> Iterator[tuple[Page, str]]:
    """Yield every command line that the pages show, without what a shell does around it."""
    for each in PAGES:
        for code in each.codes:
            yield each, code
    for block in BLOCKS:
        if block.language not in ("sh", "console"):
            continue
        lines = block.text.splitlines()
        typed = lines if block.language == "sh" else [line[2:] for line in lines if line.startswith("$ ")]
        for line in typed:
            for part in line.split("&&"):
                yield block.page, re.sub(r"^(\w+=\S* )+", "", part.strip())
