"""The table of link states, row by row, with times written by hand. T is 1 s unless a test says otherwise."""

from __future__ import annotations

import pytest

from bridge.battery.link import ADVICE, DATA_ERROR_STATES, LinkMonitor, Outcome
from bridge.battery.model import LinkState

NOTHING, NOISE, ASLEEP, REFUSED, ACCEPTED = (
    Outcome.NOTHING, Outcome.NOISE, Outcome.ASLEEP, Outcome.REFUSED, Outcome.ACCEPTED,
)  # fmt: skip


def monitor(*outcomes: Outcome, accepted_at: float | None = None, poll_interval: float = 1.0) -> LinkMonitor:
    """Return a monitor that began at 100 s and was told these outcomes."""
    link = LinkMonitor(poll_interval=poll_interval, started_at=100.0)
    if accepted_at is not None:
        link.accepted_fast_block(accepted_at)
    for outcome in outcomes:
        link.asked(outcome)
    return link


def test_battery_that_never_answered_is_starting_for_ten_seconds() -> None:
    link = monitor(NOTHING, NOTHING, NOTHING, NOTHING)
    assert [link.state(now) for now in (100.0, 109.9, 110.0)] == [
        LinkState.STARTING, LinkState.STARTING, LinkState.SILENT,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("age", "state"),
    [(0.0, "ok"), (2.0, "ok"), (2.1, "late"), (4.0, "late"), (4.1, "silent"), (3600.0, "silent")],
)
def test_age_of_the_last_fast_block_decides_between_ok_late_and_offline(age: float, state: str) -> None:
    assert monitor(ACCEPTED, NOTHING, NOTHING, NOTHING, accepted_at=200.0).state(200.0 + age) == state


@pytest.mark.parametrize(("age", "state"), [(6.0, "ok"), (6.1, "late"), (10.0, "late"), (10.1, "silent")])
def test_limits_stretch_with_the_poll_interval(age: float, state: str) -> None:
    assert monitor(NOTHING, accepted_at=200.0, poll_interval=3.0).state(200.0 + age) == state


def test_period_is_the_median_of_the_last_ten_complete_cycles_where_that_is_longer() -> None:
    link = monitor(poll_interval=1.0)
    assert link.period == 1.0
    for seconds in (9.0, 0.5, 0.5, 0.5):
        link.completed_cycle(seconds)
    assert link.period == 1.0
    for _ in range(6):
        link.completed_cycle(3.0)
    assert link.period == 3.0
    for _ in range(10):
        link.completed_cycle(2.5)
    assert (link.period, link.cycle_seconds) == (2.5, 2.5)


def test_back_to_back_polling_has_the_cycles_own_length_as_period() -> None:
    link = monitor(poll_interval=0.0, accepted_at=200.0)
    link.completed_cycle(0.6)
    assert [link.state(200.0 + age) for age in (1.1, 1.3, 2.7, 2.9)] == ["ok", "late", "late", "silent"]


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ((NOTHING,) * 3, "silent"),
        ((NOTHING,) * 9, "silent"),
        ((ACCEPTED, NOTHING, NOTHING, NOTHING), "silent"),
        ((NOISE, NOISE, NOTHING, NOTHING, NOTHING), "silent"),
        ((REFUSED, NOTHING, NOTHING, NOTHING), "silent"),
        ((ACCEPTED,), "silent"),  # nothing else fits
        ((), "silent"),
        ((NOISE,) * 3, "noisy"),
        ((NOISE, NOTHING, NOTHING), "noisy"),
        ((NOTHING, NOTHING, NOISE), "noisy"),
        ((REFUSED,) * 3, "stale"),
        ((NOISE, REFUSED, NOISE), "stale"),
        ((REFUSED, NOTHING, NOTHING), "stale"),
        ((ASLEEP,), "asleep"),
        ((ASLEEP, NOTHING, NOTHING), "asleep"),
        ((ASLEEP, NOTHING, NOTHING, NOTHING), "asleep"),  # the last answer was the sign of sleep
        ((NOISE, REFUSED, ASLEEP), "asleep"),
        ((ASLEEP, NOISE), "noisy"),
        ((ASLEEP, REFUSED, REFUSED), "stale"),
        ((ASLEEP, *(NOTHING,) * 6), "silent"),  # long ago
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(one.name.lower() for one in each) or "none",
)
def test_offline_state_says_what_the_questions_brought(outcomes: tuple[Outcome, ...], state: str) -> None:
    assert monitor(*outcomes, accepted_at=200.0).state(300.0) == state
    assert monitor(*outcomes).state(300.0) == state


def test_one_accepted_fast_block_makes_it_ok() -> None:
    link = monitor(NOTHING, NOTHING, NOTHING)
    assert link.state(130.0) is LinkState.SILENT
    link.accepted_fast_block(130.0)
    assert link.state(130.0) is LinkState.OK


def test_unplugged_counts_at_once_and_wins_over_fresh_data() -> None:
    link = monitor(ACCEPTED, accepted_at=200.0)
    link.unplugged()
    assert link.state(200.1) is LinkState.UNPLUGGED
    link.plugged(200.2)
    assert link.state(200.2) is LinkState.STARTING, "what was heard before does not count"
    assert link.state(300.0) is LinkState.SILENT
    assert link.accepted_at == 200.0
    link.accepted_fast_block(301.0)
    assert link.state(301.0) is LinkState.OK


def test_unplugged_during_the_first_ten_seconds_is_unplugged() -> None:
    link = monitor()
    link.unplugged()
    assert link.state(100.0) is LinkState.UNPLUGGED


def test_updating_wins_over_everything_and_ends() -> None:
    link = monitor(accepted_at=200.0)
    link.unplugged()
    link.updating(True)
    assert link.state(500.0) is LinkState.UPDATING
    link.updating(False)
    assert link.state(500.0) is LinkState.UNPLUGGED


def test_next_look_is_the_next_edge_of_time() -> None:
    link = monitor(poll_interval=1.0)
    assert link.next_look(100.0) == 110.0
    link.accepted_fast_block(200.0)
    assert [link.next_look(now) for now in (200.0, 202.5, 204.5)] == [202.0, 204.0, None]


def test_state_changes_only_at_edges_that_were_announced() -> None:
    link = monitor(NOISE, accepted_at=200.0)
    changes, before = [], link.state(200.0)
    for tenth in range(2001, 2100):
        now = tenth / 10
        if (state := link.state(now)) is not before:
            changes.append((before.value, state.value, link.next_look(now - 0.1)))
            before = state
    assert changes == [("ok", "late", 202.0), ("late", "noisy", 204.0)]


def test_every_offline_state_has_advice_and_four_are_data_errors() -> None:
    assert set(ADVICE) == {state for state in LinkState if not state.is_online}
    assert all(text.endswith(".") for text in ADVICE.values())
    assert {state.value for state in DATA_ERROR_STATES} == {"asleep", "silent", "noisy", "unplugged"}
