"""How long to wait for an answer, and how long to pause before a question, follows from what the line does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sources.timing import Timing


def learn(latencies: list[float], pause: float = 0.02) -> Timing:
    timing = Timing(pause=pause)
    for latency in latencies:
        timing.answered(latency)
    return timing


def test_time_out_is_200_ms_until_it_is_learned() -> None:
    assert Timing(pause=0.02).timeout == 0.2
    assert learn([0.005] * 19).timeout == 0.2


def test_learned_time_out_is_30_ms_above_the_99th_percentile() -> None:
    assert learn([0.005] * 20).timeout == pytest.approx(0.035)
    assert learn([0.060] * 50).timeout == pytest.approx(0.090)
    # of 200 the slowest two are beyond the 99th percentile
    assert learn([0.050] * 197 + [0.080, 0.4, 0.4]).timeout == pytest.approx(0.110)


def test_answer_that_is_slow_once_in_twenty_fits_into_the_time_out() -> None:
    assert learn([0.005] * 19 + [0.080]).timeout == pytest.approx(0.110)


def test_newest_200_answers_count() -> None:
    assert learn([0.080] * 200 + [0.010] * 200).timeout == pytest.approx(0.040)


def test_time_out_is_never_above_500_ms() -> None:
    assert learn([0.490] * 40).timeout == 0.5
    assert learn([3.0] * 40).timeout == 0.5


@given(st.lists(st.floats(0, 10), max_size=300), st.lists(st.booleans(), max_size=20))
def test_patience_and_pause_stay_within_their_limits(latencies: list[float], silent: list[bool]) -> None:
    timing = learn(latencies)
    for each in silent:
        timing.lost(is_silent=each)
        assert 0.03 <= timing.timeout <= timing.patience <= 0.5
        assert 0 <= timing.pause <= 0.15


def test_clock_that_seems_to_run_backwards_is_no_latency() -> None:
    assert learn([-0.004] * 20).timeout == pytest.approx(0.03)


def test_two_silences_in_a_row_are_given_the_longest_time() -> None:
    timing = learn([0.005] * 20)
    patience = [timing.patience]
    for _ in range(3):
        timing.lost(is_silent=True)
        patience.append(timing.patience)
    assert patience == pytest.approx([0.035, 0.035, 0.5, 0.5])
    timing.answered(0.3)
    assert timing.patience == pytest.approx(0.035)


def test_broken_answer_is_no_silence() -> None:
    timing = learn([0.005] * 20)
    for _ in range(5):
        timing.lost(is_silent=False)
    assert timing.patience == pytest.approx(0.035)


def test_pause_is_learned_down_to_nothing_while_nothing_is_lost() -> None:
    timing = Timing(pause=0.02)
    pauses = []
    for _ in range(7):
        for _ in range(50):
            timing.answered(0.005)
        pauses.append(timing.pause)
    assert pauses == pytest.approx([0.01, 0.005, 0.0025, 0.00125, 0.000625, 0.0, 0.0])


def test_silence_on_a_quiet_line_makes_the_pause_grow_step_by_step_up_to_150_ms() -> None:
    timing = learn([0.005] * 350)
    assert timing.pause == 0.0
    pauses = []
    for _ in range(10):
        timing.lost(is_silent=True)
        pauses.append(timing.pause)
    assert pauses == pytest.approx([0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.15, 0.15])


def test_losses_on_a_noisy_line_never_ask_for_more_pause_than_the_driver() -> None:
    timing = learn([0.005] * 350)
    pauses = []
    for index in range(20):
        timing.lost(is_silent=bool(index % 2))
        pauses.append(timing.pause)
    assert max(pauses) == pytest.approx(0.02)


def test_loss_starts_the_count_of_good_answers_anew() -> None:
    timing = learn([0.005] * 49)
    timing.lost(is_silent=False)
    for _ in range(49):
        timing.answered(0.005)
    assert timing.pause == 0.02


def test_driver_without_a_pause_never_gets_one() -> None:
    timing = Timing(pause=0.0)
    timing.lost(is_silent=True)
    assert timing.pause == 0.0
