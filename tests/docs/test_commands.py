"""Every command that the documentation shows exists, and every command that exists is shown."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import BLOCKS, ROOT, Block, Page, commands, page

_SMARTBMS = (sys.executable, "-c", "from bridge.cli import main; main()")
_VOLTAGE = re.compile(r"[\d.]+ V\b")
_RUN = ("decode", "config check", "detect --port emulated://")
"""Commands whose output in the documentation is compared with the real one."""

SHOWN = [(where, line) for where, line in commands() if re.match(r"(\.venv/bin/)?smartbms\b", line)]
MAKE = [(where, line) for where, line in commands() if re.match(r"make\b", line)]
EXAMPLES = [
    block for block in BLOCKS
    if block.language == "console" and block.text.startswith(tuple(f"$ smartbms {each}" for each in _RUN))
]


def smartbms(*arguments: str, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    if data is not None:
        environment["SMARTBMS_DATA"] = str(data)
    return subprocess.run(
        [*_SMARTBMS, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@cache
def help_of(*command: str) -> str:
    told = smartbms(*command, "--help")
    assert told.returncode == 0, told.stderr
    return told.stdout


@cache
def options_of(*command: str) -> frozenset[str]:
    return frozenset(re.findall(r"(?m)^ +(?:-\w, )?(--[a-z-]+)", help_of(*command)))


@cache
def subcommands(*command: str) -> tuple[str, ...]:
    _, _, listed = help_of(*command).partition("Commands:\n")
    return tuple(re.findall(r"(?m)^  (\w+)", listed))


def every_command() -> list[tuple[str, ...]]:
    first = [(name,) for name in subcommands()]
    return first + [(*each, name) for each in first for name in subcommands(*each)]


@pytest.mark.parametrize(("where", "line"), SHOWN, ids=str)
def test_command_that_is_shown_exists(where: Page, line: str) -> None:
    words = shlex.split(line)[1:]
    command: list[str] = []
    while words and not words[0].startswith("-") and subcommands(*command):
        command.append(words.pop(0))
        assert tuple(command) in every_command()
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert options <= options_of(*command)


def test_page_on_the_command_line_has_every_command_and_option() -> None:
    text = page("docs/command-line.md").text
    for command in every_command():
        assert f"smartbms {' '.join(command)}" in text
        missing = {each for each in options_of(*command) if f"{each}`" not in text and f"{each} " not in text}
        assert missing <= {"--help", "--json"}, command
    assert "--json" in text


@pytest.mark.parametrize(("where", "line"), MAKE, ids=str)
def test_make_target_that_is_shown_exists(where: Page, line: str) -> None:
    targets = [word for word in shlex.split(line)[1:] if "=" not in word]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"(?m)^{target}:", makefile) for target in targets)


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_output_that_is_shown_is_the_real_one(block: Block, tmp_path: Path) -> None:
    typed, _, wanted = block.text.partition("\n")
    told = smartbms(*shlex.split(typed)[2:], data=tmp_path)
    assert _VOLTAGE.sub("? V", told.stdout) == _VOLTAGE.sub("? V", wanted)


def test_examples_are_compared() -> None:
    assert len(EXAMPLES) >= 4


def test_first_screen_of_the_readme_has_two_commands_for_a_fresh_machine() -> None:
    screen = page("README.md").text.partition("\n## ")[0]
    lines = [line for line in screen.splitlines() if line.startswith("sudo apt install git make python3-venv && ")]
    assert [line.rpartition("&& ")[2] for line in lines] == ["make run", "make test"]
