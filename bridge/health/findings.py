"""What is wrong with the machine, in words for its owner. Pure: from measurements to sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bridge.interfaces import Box, ServiceStatus

_SLOW, _TOO_SLOW = 0.05, 0.1
"""s of loop delay."""
_SMALL_SHARE, _BUSY = 10.0, 80.0
"""% of one core used by the bridge, and % of all cores used by everything, by which others are to blame."""
_HOT = 80.0
"""°C from which a Raspberry Pi slows itself down."""
_LITTLE_ROOM, _NO_ROOM = 50_000_000, 10_000_000
"""Bytes free on the disk."""
_RECENT_START = 86_400.0
"""s for which it is worth knowing why the bridge was started."""

_POLL_LESS = "Raise poll_interval to 2, then by 1 until this goes away, or read fewer batteries with this machine."

OK, WARN, BAD = "ok", "warn", "bad"
_SEVERITY = (OK, WARN, BAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that the owner should know."""

    kind: str
    """Short word by which it is recognised when it comes and goes."""
    level: str
    """`ok` (worth knowing only), `warn` or `bad`."""
    sentence: str
    """What is wrong and what to do about it."""


def machine_findings(box: Box, *, restart_reason: str, uptime: float) -> tuple[Finding, ...]:
    """Judge the machine, the worst first."""
    found = [*_speed(box), *_supply(box), *_disk(box), *_heat(box), *_restart(restart_reason, uptime)]
    return tuple(sorted(found, key=_severity, reverse=True))


def status(findings: Iterable[Finding], services: Iterable[ServiceStatus]) -> str:
    """Return `ok`, `warn` or `bad`: the worst finding; a service that waits warns."""
    levels = [each.level for each in findings]
    levels += [WARN for each in services if each.state == "waiting"]
    return max(levels, key=_SEVERITY.index, default=OK)


def advice(findings: Iterable[Finding], services: Iterable[ServiceStatus]) -> tuple[str, ...]:
    """Return the sentences for the owner, most important first."""
    waiting = [each.detail for each in services if each.state == "waiting" and each.detail is not None]
    return (*(each.sentence for each in findings if each.level != OK), *waiting,
            *(each.sentence for each in findings if each.level == OK))  # fmt: skip


def _severity(finding: Finding) -> int:
    return _SEVERITY.index(finding.level)


def _speed(box: Box) -> Iterator[Finding]:
    delay = box.loop_delay_p99
    if delay is None or delay <= _SLOW:
        return
    is_bad = delay > _TOO_SLOW
    verdict = "too slow" if is_bad else "at its limit"
    cause, cure = "", _POLL_LESS
    if box.process_cpu is not None and box.total_cpu is not None:
        cause = (
            f" The bridge uses {box.process_cpu:.0f} % of one core, "
            f"all programs together {box.total_cpu:.0f} % of the processor."
        )
        if box.process_cpu < _SMALL_SHARE and box.total_cpu > _BUSY:
            cure = f"Another program keeps it busy: move or stop that one first. {_POLL_LESS}"
    yield Finding(
        kind="slow",
        level=BAD if is_bad else WARN,
        sentence=f"This machine is {verdict}: the bridge runs {1000 * delay:.0f} ms late.{cause} {cure}",
    )


def _supply(box: Box) -> Iterator[Finding]:
    if box.under_voltage:
        yield Finding(
            kind="under-voltage",
            level=WARN,
            sentence=(
                "The power supply is too weak: this Raspberry Pi has measured under-voltage since it was started. "
                "Use the maker's power supply and a short, thick cable, and a powered hub for what hangs on USB."
            ),
        )


def _disk(box: Box) -> Iterator[Finding]:
    if box.disk_free is not None and box.disk_free < _LITTLE_ROOM:
        yield Finding(
            kind="disk",
            level=BAD if box.disk_free < _NO_ROOM else WARN,
            sentence=(
                f"Only {box.disk_free / 1e6:.0f} MB are free where the bridge keeps its data. "
                "Make room, or settings can no longer be saved."
            ),
        )


def _heat(box: Box) -> Iterator[Finding]:
    if box.temperature is not None and box.temperature >= _HOT:
        yield Finding(
            kind="heat",
            level=WARN,
            sentence=(
                f"The processor is {box.temperature:.0f} °C hot and slows itself down. "
                "Give it air or a heat sink, and keep it out of the sun."
            ),
        )


def _restart(reason: str, uptime: float) -> Iterator[Finding]:
    sentence = _RESTARTS.get(reason)
    if sentence is not None and uptime < _RECENT_START:
        yield Finding(kind="restart", level=OK, sentence=sentence)


_RESTARTS = {
    "killed": (
        "The bridge was started again because it had ended without stopping in order, while the machine ran on: "
        "a crash, too little memory, or somebody killed it. The log of the system says which (journalctl)."
    ),
    "crash or power cut": (
        "The machine was started again without having shut down: a power cut, the reset button or a crash. "
        "If nobody pulled the plug, suspect the power supply first, then the memory card."
    ),
}
