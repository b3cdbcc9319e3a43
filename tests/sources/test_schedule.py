"""Which questions a cycle asks: fast ones always and the pack last, slow ones in turn, rare ones hourly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from bridge.protocols.daly import DRIVER
from bridge.protocols.driver import Cadence, Question
from bridge.sources.schedule import Schedule

FAST = [0x95, 0x93, 0x90]
SLOW = {0x91, 0x92, 0x96, 0x97, 0x98}
RARE = {0x94, 0x50, 0x54, 0x57}


def cycles(
    schedule: Schedule, *, period: float, seconds: float, answers: Callable[[Question], bool] = lambda question: True
) -> Iterator[tuple[float, list[int]]]:
    """Run cycles from time 1000 on and give each with the commands that it asked."""
    for number in range(int(seconds / period)):
        now = 1000.0 + number * period
        due = schedule.due(now, period)
        for question in due:
            schedule.asked(question, now, is_answered=answers(question))
        if any(question.cadence is Cadence.FAST and answers(question) for question in due):
            schedule.completed_first()
        yield now, [question.command for question in due]


def asked_at(schedule: Schedule, *, period: float, seconds: float) -> dict[int, list[float]]:
    times: dict[int, list[float]] = defaultdict(list)
    for now, commands in cycles(schedule, period=period, seconds=seconds):
        for command in commands:
            times[command].append(now)
    return times


def test_first_cycle_asks_the_structure_and_the_fast_blocks_only() -> None:
    schedule = Schedule(DRIVER, poll_interval=1.0)
    assert next(cycles(schedule, period=1.0, seconds=1.0))[1] == [0x94, 0x95, 0x93, 0x90]


def test_every_cycle_asks_cells_then_status_and_the_pack_last() -> None:
    for _, commands in cycles(Schedule(DRIVER, poll_interval=1.0), period=1.0, seconds=60.0):
        assert [each for each in commands if each in FAST] == FAST
        assert commands[-1] == 0x90
        assert 0x94 not in commands or commands[0] == 0x94


@pytest.mark.parametrize("period", [0.3, 0.5, 1.0, 1.2, 2.5])
def test_all_slow_blocks_come_round_within_5_s(period: float) -> None:
    times = asked_at(Schedule(DRIVER, poll_interval=period), period=period, seconds=60.0)
    for command in SLOW:
        gaps = [later - earlier for earlier, later in pairwise(times[command])]
        assert max(gaps) <= 5.0 + 1e-9, hex(command)


@pytest.mark.parametrize("period", [2.0, 3.0, 4.0])
def test_all_slow_blocks_come_round_within_5_s_at_long_intervals_too(period: float) -> None:
    test_all_slow_blocks_come_round_within_5_s(period)


def test_slow_blocks_are_spread_one_a_cycle_at_1_s_once_all_are_there() -> None:
    counts = [
        len(SLOW & set(commands))
        for _, commands in cycles(Schedule(DRIVER, poll_interval=1.0), period=1.0, seconds=60.0)
    ]
    assert max(counts) == 2, "two a cycle at the start"
    assert set(counts[6:]) == {1}


def test_everything_is_there_after_a_few_cycles() -> None:
    schedule = Schedule(DRIVER, poll_interval=1.0)
    complete = [schedule.is_complete() for _ in cycles(schedule, period=1.0, seconds=8.0)]
    assert complete.index(True) <= 5


def test_structure_and_names_are_read_at_the_start_and_hourly() -> None:
    times = asked_at(Schedule(DRIVER, poll_interval=1.0), period=1.0, seconds=7210.0)
    for command in RARE:
        assert len(times[command]) == 3, hex(command)
        first, second, third = times[command]
        assert first <= 1010.0
        assert 3600.0 <= second - first <= 3610.0
        assert 3600.0 <= third - second <= 3610.0


def test_questions_on_request_are_never_asked_by_themselves() -> None:
    times = asked_at(Schedule(DRIVER, poll_interval=1.0), period=1.0, seconds=4000.0)
    assert set(times) == set(FAST) | SLOW | RARE


def test_back_to_back_polling_asks_every_slow_block_in_every_cycle() -> None:
    for _, commands in cycles(Schedule(DRIVER, poll_interval=0.0), period=0.6, seconds=6.0):
        assert set(FAST) | SLOW <= set(commands)


def test_question_without_answer_is_asked_more_and_more_seldom() -> None:
    schedule = Schedule(DRIVER, poll_interval=1.0)
    times = [
        now
        for now, commands in cycles(
            schedule, period=1.0, seconds=1000.0, answers=lambda question: question.command != 0x57
        )
        if 0x57 in commands
    ]
    gaps = [later - earlier for earlier, later in pairwise(times[2:])]
    assert gaps == [60.0, 120.0, 240.0, 480.0]
    assert schedule.is_complete(), "what is not to be had does not keep a reading waiting"


def test_structure_is_asked_again_until_it_is_known() -> None:
    schedule = Schedule(DRIVER, poll_interval=1.0)
    asked = [
        now
        for now, commands in cycles(
            schedule, period=1.0, seconds=60.0, answers=lambda question: question.command != 0x94
        )
        if 0x94 in commands
    ]
    assert asked[:3] == [asked[0], asked[0] + 1, asked[0] + 2]
    assert max(later - earlier for earlier, later in pairwise(asked)) <= 5.0


def test_unanswered_slow_block_does_not_hold_up_the_others() -> None:
    schedule = Schedule(DRIVER, poll_interval=1.0)
    times: dict[int, list[float]] = defaultdict(list)
    for now, commands in cycles(schedule, period=1.0, seconds=120.0, answers=lambda each: each.command != 0x98):
        for command in commands:
            times[command].append(now)
    for command in SLOW - {0x98}:
        gaps = [later - earlier for earlier, later in pairwise(times[command])]
        assert max(gaps) <= 5.0, hex(command)


def test_port_that_was_unplugged_starts_over() -> None:
    schedule = Schedule(DRIVER, poll_interval=1.0)
    list(cycles(schedule, period=1.0, seconds=20.0))
    schedule.start_over()
    assert not schedule.is_complete()
    assert [each.command for each in schedule.due(1020.0, 1.0)] == [0x94, 0x95, 0x93, 0x90]


def test_age_limit_follows_the_cadence() -> None:
    schedule = Schedule(DRIVER, poll_interval=1.0)
    ages = {each.command: schedule.max_age(each, 1.0) for each in DRIVER.questions}
    assert {ages[command] for command in FAST} == {4.0}
    assert {ages[command] for command in SLOW} == {20.0}
    assert {ages[command] for command in RARE} == {10800.0}
    assert schedule.max_age(DRIVER.question("alarms"), 60.0) == 240.0
    assert schedule.max_age(DRIVER.probe, 60.0) == 181.0
