"""constraints.txt pins everything, and names no place to fetch it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).resolve().parents[2]


def _lines() -> list[str]:
    lines = (_ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_every_line_pins_one_version() -> None:
    assert [line for line in _lines() if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_every_dependency_is_pinned_to_a_version_that_fits() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(each) for each in project["dependencies"] + project["optional-dependencies"]["dev"]]
    pinned = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in _lines()}

    unfit = [str(each) for each in wanted if not each.specifier.contains(pinned.get(canonicalize_name(each.name), ""))]
    assert unfit == []
