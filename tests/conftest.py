"""What the machine must have for a test, and the list of what it lacked.

    @pytest.mark.needs("mosquitto", "netns")          # on a test, a class, or as `pytestmark` on a module
    def test_...

    def test_...(program):                            # the path of a program; the test is left out where it is missing
        broker = program("mosquitto")
        python = program("python3.13")

A test whose needs are not met is left out, and the end of the run lists it under "not run on this machine". With
`CI=true` it fails instead, unless even CI may lack the thing (`_may_lack`); a test that skips itself fails there too.
The names are these and no others, a misspelt one stops the run; a `program` may be anything on the PATH, which includes
/usr/sbin here.

    root        the user is root
    netns       root, and `ip netns` works: network namespaces can be made
    ipv6        ::1 can be bound
    mosquitto   the broker `mosquitto`, and `mosquitto_pub`, `mosquitto_sub`
    avahi       `avahi-daemon`, `avahi-browse`, `avahi-resolve`, `dbus-daemon`
    nss_mdns    `getent hosts x.local` asks mDNS
    node        `node` and `npm`
    chromium    the browser
    browser     chromium, node and the npm packages of tests/browser
    promtool    the linter of Prometheus
    python3.13  an interpreter of that version, in the PATH or pyenv
    qemu        `qemu-system-x86_64`

Other markers: `nightly` (only `make nightly` runs it), `timeout(seconds)` (60 s unless said). Every hypothesis test is
marked `property` by itself, and `make nightly` runs those too, with twenty times the examples; elsewhere their examples
are the same in every run, so that a change is never refused for what chance found. A test leaves `max_examples` alone.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", deadline=None, max_examples=2000, print_blob=True)

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ROOT / "packaging" / "debian-packages.txt"
_LEFT_OUT = "not on this machine: "
_PYTHON = re.compile(r"python3\.\d+")


def _has_programs(*names: str) -> bool:
    return all(shutil.which(name) for name in names)


def _is_root() -> bool:
    return os.geteuid() == 0


def _has_namespaces() -> bool:
    return (
        _is_root()
        and _has_programs("ip", "unshare")
        and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
    )


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _has_nss_mdns() -> bool:
    return any(Path("/").glob("lib/*/libnss_mdns*.so.2")) or any(Path("/usr").glob("lib/*/libnss_mdns*.so.2"))


_PROBES: dict[str, Callable[[], bool]] = {
    "root": _is_root,
    "netns": _has_namespaces,
    "ipv6": _has_ipv6,
    "mosquitto": lambda: _has_programs("mosquitto", "mosquitto_pub", "mosquitto_sub"),
    "avahi": lambda: _has_programs("avahi-daemon", "avahi-browse", "avahi-resolve", "dbus-daemon"),
    "nss_mdns": _has_nss_mdns,
    "node": lambda: _has_programs("node", "npm"),
    "chromium": lambda: _has_programs("chromium"),
    "browser": lambda: (
        _has_programs("chromium", "node") and (ROOT / "tests" / "browser" / "node_modules" / "playwright-core").is_dir()
    ),
    "promtool": lambda: _has_programs("promtool"),
    "qemu": lambda: _has_programs("qemu-system-x86_64"),
}


def _may_lack(name: str) -> bool:
    """Tell what even the CI machine may be without: newer Pythons and QEMU."""
    return name.startswith("qemu") or (_PYTHON.fullmatch(name) is not None and int(name.rpartition(".")[2]) >= 12)


def _find_python(name: str) -> str | None:
    """Return an interpreter that really runs: a pyenv shim exists for versions that are not switched on."""
    version = name.removeprefix("python")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(name), *map(str, sorted(pyenv.glob(f"{version}.*/bin/{name}")))]
    for path in filter(None, candidates):
        if subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def _find_program(name: str) -> str | None:
    return _find_python(name) if _PYTHON.fullmatch(name) else shutil.which(name)


@cache
def _has(name: str) -> bool:
    return _find_python(name) is not None if _PYTHON.fullmatch(name) else _PROBES[name]()


def _is_ci() -> bool:
    return os.environ.get("CI") == "true"


def _leave_out(missing: list[str]) -> NoReturn:
    """Skip the running test, or fail it where nothing may be missing."""
    if _is_ci() and not all(map(_may_lack, missing)):
        pytest.fail(f"{_LEFT_OUT}{', '.join(missing)} (CI has to have it)", pytrace=False)
    pytest.skip(_LEFT_OUT + ", ".join(missing))


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return the path of a program, or leave the test out where the machine has none."""

    def find(name: str) -> str:
        return _find_program(name) or _leave_out([name])

    return find


def pytest_configure() -> None:
    """Make the daemons found that Debian keeps out of a user's PATH."""
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the property tests, and refuse a need that no probe knows: it would be left out for ever."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("property")
        for name in _needs(item):
            if name not in _PROBES and not _PYTHON.fullmatch(name):
                raise pytest.UsageError(f"{item.nodeid} needs {name!r}, which tests/conftest.py does not know")


def _needs(item: pytest.Item) -> list[str]:
    return [name for marker in item.iter_markers("needs") for name in marker.args]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave the test out before its fixtures are made."""
    if missing := [name for name in _needs(item) if not _has(name)]:
        _leave_out(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, fail a test that skips itself."""
    report = yield
    reason = _reason(report)
    if _is_ci() and report.skipped and reason is not None and _LEFT_OUT not in reason:
        report.outcome = "failed"
        report.longrepr = f"{reason} (CI leaves nothing out)"
    return report


def _reason(report: pytest.TestReport) -> str | None:
    """Return why a test was skipped; None where it is an expected failure."""
    return report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was left out and why, with the Debian packages that would help."""
    reasons = Counter(filter(None, map(_reason, terminalreporter.stats.get("skipped", []))))
    if not reasons:
        return
    terminalreporter.section("not run on this machine")
    packages = _debian_packages()
    for reason, count in reasons.most_common():
        names = reason.removeprefix(_LEFT_OUT)
        wanted = " ".join(packages[name] for name in names.split(", ") if name in packages)
        cause = f"without {names}" if reason != names else reason
        terminalreporter.write_line(
            f"{count} test{'s'[: count != 1]}: {cause}" + (f" (Debian: {wanted})" if wanted else "")
        )


def _debian_packages() -> dict[str, str]:
    lines = (line.split("#")[0].split(maxsplit=1) for line in _PACKAGES.read_text(encoding="utf-8").splitlines())
    return {line[0]: line[1].strip() for line in lines if line}
