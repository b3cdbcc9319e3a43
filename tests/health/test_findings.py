"""What is wrong is said in words that help; the thresholds are those that users were promised."""

from __future__ import annotations

import pytest

from bridge.health.findings import advice, machine_findings, status
from bridge.interfaces import Box, ServiceStatus

FINE = Box(
    loop_delay_p99=0.001, process_cpu=2.0, total_cpu=10.0, memory=50_000_000, under_voltage=False, temperature=45.0,
    disk_free=1_000_000_000,
)  # fmt: skip


def judged(box: Box, *, restart_reason: str = "boot", uptime: float = 60.0) -> tuple[str, tuple[str, ...]]:
    """Return status and advice of a machine whose services are all fine."""
    found = machine_findings(box, restart_reason=restart_reason, uptime=uptime)
    return status(found, ()), advice(found, ())


@pytest.mark.parametrize("box", [FINE, Box()], ids=["fine", "unknown"])
def test_machine_without_trouble_is_ok(box: Box) -> None:
    assert judged(box) == ("ok", ())


@pytest.mark.parametrize(("delay", "expected"), [(0.05, "ok"), (0.051, "warn"), (0.1, "warn"), (0.101, "bad")])
def test_loop_delay_warns_above_50_ms_and_is_bad_above_100_ms(delay: float, expected: str) -> None:
    assert judged(Box(loop_delay_p99=delay))[0] == expected


def test_slow_machine_is_told_to_poll_less_often_and_who_uses_the_processor() -> None:
    _, (sentence,) = judged(Box(loop_delay_p99=0.123, process_cpu=63.4, total_cpu=97.0))

    assert sentence == (
        "This machine is too slow: the bridge runs 123 ms late. The bridge uses 63 % of one core, "
        "all programs together 97 % of the processor. "
        "Raise poll_interval to 2, then by 1 until this goes away, or read fewer batteries with this machine."
    )


def test_machine_kept_busy_by_other_programs_is_told_to_look_for_them_first() -> None:
    _, (sentence,) = judged(Box(loop_delay_p99=0.123, process_cpu=1.4, total_cpu=97.0))

    assert sentence.endswith(
        "all programs together 97 % of the processor. Another program keeps it busy: move or stop that one first. "
        "Raise poll_interval to 2, then by 1 until this goes away, or read fewer batteries with this machine."
    )


def test_slow_machine_is_told_what_to_do_also_where_the_use_is_unknown() -> None:
    _, (sentence,) = judged(Box(loop_delay_p99=0.06))

    assert sentence.startswith("This machine is at its limit: the bridge runs 60 ms late. Raise poll_interval to 2")


def test_under_voltage_names_the_weak_supply() -> None:
    level, (sentence,) = judged(Box(under_voltage=True))

    assert level == "warn"
    assert sentence.startswith("The power supply is too weak")


@pytest.mark.parametrize(("free", "expected"), [(50_000_000, "ok"), (49_999_999, "warn"), (9_999_999, "bad")])
def test_full_disk_warns_before_settings_are_lost(free: int, expected: str) -> None:
    assert judged(Box(disk_free=free))[0] == expected


@pytest.mark.parametrize(("temperature", "expected"), [(79.9, "ok"), (80.0, "warn")])
def test_hot_processor_warns(temperature: float, expected: str) -> None:
    assert judged(Box(temperature=temperature))[0] == expected


@pytest.mark.parametrize(("reason", "word"), [("killed", "journalctl"), ("crash or power cut", "power supply")])
def test_unwanted_restart_is_explained_without_alarm(reason: str, word: str) -> None:
    level, (sentence,) = judged(FINE, restart_reason=reason)

    assert level == "ok"
    assert word in sentence


@pytest.mark.parametrize("reason", ["first start", "boot", "stopped cleanly"])
def test_wanted_start_needs_no_explanation(reason: str) -> None:
    assert judged(FINE, restart_reason=reason) == ("ok", ())


def test_restart_is_old_news_after_a_day() -> None:
    assert judged(FINE, restart_reason="killed", uptime=86_400.0) == ("ok", ())


def test_worst_comes_first_then_services_then_what_is_worth_knowing() -> None:
    found = machine_findings(Box(under_voltage=True, disk_free=0), restart_reason="killed", uptime=1.0)
    services = (
        ServiceStatus(name="web", state="running", detail="on port 6789"),
        ServiceStatus(name="mqtt", state="waiting", detail="The broker is away."),
    )

    sentences = advice(found, services)

    assert [sentence.split()[0:4] for sentence in sentences] == [
        ["Only", "0", "MB", "are"],
        ["The", "power", "supply", "is"],
        ["The", "broker", "is", "away."],
        ["The", "bridge", "was", "started"],
    ]


@pytest.mark.parametrize(("state", "expected"), [("waiting", "warn"), ("running", "ok"), ("off", "ok")])
def test_service_that_waits_warns(state: str, expected: str) -> None:
    assert status((), (ServiceStatus(name="mqtt", state=state),)) == expected
