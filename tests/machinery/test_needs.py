"""What happens to tests whose machine lacks something: the rules of tests/conftest.py, in a pytest of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]

_TESTS = """
import pytest

@pytest.mark.needs("qemu")
def test_machine(): raise AssertionError("must not run")

@pytest.mark.needs("mosquitto")
def test_broker(): raise AssertionError("must not run")

@pytest.fixture
def expensive(): raise AssertionError("must not be made")

@pytest.mark.needs("mosquitto", "chromium")
def test_both(expensive): pass

def test_path(program): program("smartbms-has-no-such-program")

def test_itself(): pytest.skip("no mood")

def test_shell(program): assert program("sh").endswith("/sh")
"""


def _run(folder: Path, tests: str, *, ci: bool) -> str:
    """Run pytest over `tests` on a machine with a shell and nothing else; return what it printed."""
    (folder / "tests").mkdir()
    (folder / "packaging").mkdir()
    (folder / "bin").mkdir()
    (folder / "bin" / "sh").symlink_to("/bin/sh")
    shutil.copy(_ROOT / "tests" / "conftest.py", folder / "tests")
    shutil.copy(_ROOT / "packaging" / "debian-packages.txt", folder / "packaging")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  needs\n  property\n", encoding="utf-8")
    (folder / "tests" / "test_sample.py").write_text(tests, encoding="utf-8")
    # conftest.py adds /usr/sbin, where Debian keeps mosquitto: a PATH of our own is not enough to hide it.
    hidden = "import shutil; which = shutil.which; shutil.which = lambda name: which(name, path='bin')\n"
    code = hidden + "import sys, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider']))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "PYTEST", "PYENV"))}
    environment |= {"CI": "true"} if ci else {}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=50, check=False)
    return done.stdout + done.stderr


def test_what_the_machine_lacks_is_left_out_and_listed(tmp_path: Path) -> None:
    printed = _run(tmp_path, _TESTS, ci=False)

    assert "1 passed, 5 skipped" in printed
    assert "1 test: without qemu\n" in printed
    assert "1 test: without mosquitto (Debian: mosquitto mosquitto-clients)\n" in printed
    assert "1 test: without mosquitto, chromium (Debian: mosquitto mosquitto-clients chromium fonts-" in printed
    assert "1 test: without smartbms-has-no-such-program\n" in printed
    assert "1 test: no mood\n" in printed


def test_in_ci_only_qemu_may_be_missing(tmp_path: Path) -> None:
    printed = _run(tmp_path, _TESTS, ci=True)

    assert "2 failed, 1 passed, 1 skipped, 2 errors" in printed
    assert "not on this machine: mosquitto (CI has to have it)" in printed
    assert "no mood (CI leaves nothing out)" in printed
    assert "1 test: without qemu\n" in printed


def test_in_ci_newer_pythons_may_be_missing(tmp_path: Path) -> None:
    tests = "import pytest\n@pytest.mark.needs('python3.99')\ndef test_newer(): raise AssertionError('must not run')\n"

    assert "1 skipped" in _run(tmp_path, tests, ci=True)


def test_unknown_need_stops_the_run(tmp_path: Path) -> None:
    tests = "import pytest\n@pytest.mark.needs('mosquito')\ndef test_broker(): pass\n"

    printed = _run(tmp_path, tests, ci=False)

    assert "needs 'mosquito', which tests/conftest.py does not know" in printed
    assert "passed" not in printed


def test_every_need_in_the_list_of_packages_is_known(tmp_path: Path) -> None:
    lines = (_ROOT / "packaging" / "debian-packages.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split()[0] for line in lines if line and not line.startswith("#")]
    tests = f"import pytest\n@pytest.mark.needs(*{names})\ndef test_all(): pass\n"

    assert "mosquitto" in names
    assert "does not know" not in _run(tmp_path, tests, ci=False)
