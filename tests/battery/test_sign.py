"""Which sign of the current is charging: learned from the battery's own word, three times in a row."""

from __future__ import annotations

import pytest

from bridge.battery.sign import SignLearner


def cycles(learner: SignLearner, *pairs: tuple[str, float]) -> list[float | None]:
    """Run cycles of state and current, as the conversation does: 0x93 first, 0x90 last; return what is published."""
    published = []
    for state, current in pairs:
        learner.saw_state(state)
        published.append(learner.resolve(current))
    return published


@pytest.mark.parametrize(
    ("state", "raw", "sign"),
    [("charging", 5.0, "normal"), ("discharging", -5.0, "normal"), ("charging", -5.0, "inverted"),
     ("discharging", 5.0, "inverted")],
)  # fmt: skip
def test_three_cycles_in_a_row_decide(state: str, raw: float, sign: str) -> None:
    learner = SignLearner("auto")
    cycles(learner, *[(state, raw)] * 3)
    assert learner.decided is None, "the third needs the word after it too"
    learner.saw_state(state)
    assert learner.decided == sign


def test_contradiction_is_unknown_until_it_is_decided() -> None:
    learner = SignLearner("auto")
    assert cycles(learner, *[("discharging", 5.0)] * 5) == [None, None, None, -5.0, -5.0]


def test_agreement_is_published_from_the_start() -> None:
    assert cycles(SignLearner("auto"), *[("charging", 5.0)] * 4) == [5.0] * 4


def test_battery_that_never_says_a_word_starts_as_normal() -> None:
    learner = SignLearner("auto")
    assert [learner.resolve(current) for current in (5.0, -5.0, 0.0)] == [5.0, -5.0, 0.0]
    assert learner.decided is None


@pytest.mark.parametrize("current", [0.9, -0.9, 0.0])
def test_small_currents_say_nothing(current: float) -> None:
    learner = SignLearner("auto")
    known = None if current > 0 else current  # a contradiction is unknown, however small
    assert cycles(learner, *[("discharging", current)] * 9) == [known] * 9
    learner.saw_state("discharging")
    assert learner.decided is None


def test_one_ampere_is_enough() -> None:
    learner = SignLearner("auto")
    cycles(learner, *[("charging", -1.0)] * 4)
    assert learner.decided == "inverted"


@pytest.mark.parametrize("word", ["idle", "discharging"])
def test_state_that_changes_around_the_current_does_not_count(word: str) -> None:
    learner = SignLearner("auto")
    cycles(learner, ("charging", 5.0), ("charging", 5.0), (word, 5.0), ("charging", 5.0), ("charging", 5.0))
    assert learner.decided is None, "one, an interruption, one: not three in a row"


def test_votes_that_disagree_start_anew() -> None:
    learner = SignLearner("auto")
    cycles(learner, ("charging", 5.0), ("charging", 5.0), ("charging", -5.0), ("charging", 5.0), ("charging", 5.0))
    assert learner.decided is None
    cycles(learner, ("charging", 5.0), ("charging", 5.0))
    assert learner.decided == "normal"


def test_small_current_between_breaks_the_row() -> None:
    learner = SignLearner("auto")
    cycles(learner, ("charging", 5.0), ("charging", 5.0), ("charging", 0.1), ("charging", 5.0), ("charging", 5.0))
    assert learner.decided is None


@pytest.mark.parametrize(("setting", "published"), [("normal", 5.0), ("inverted", -5.0)])
def test_setting_wins_over_the_batterys_word(setting: str, published: float) -> None:
    learner = SignLearner(setting)  # type: ignore[arg-type]
    assert cycles(learner, *[("charging", 5.0), ("discharging", 5.0)] * 4) == [published] * 8


def test_sign_that_was_learned_before_counts_from_the_first_reading() -> None:
    learner = SignLearner("auto", "inverted")
    assert (learner.decided, learner.resolve(5.0)) == ("inverted", -5.0)


def test_setting_wins_over_what_was_learned() -> None:
    assert SignLearner("normal", "inverted").resolve(5.0) == 5.0


def test_decided_sign_stays_decided() -> None:
    learner = SignLearner("auto")
    cycles(learner, *[("charging", -5.0)] * 4)
    cycles(learner, *[("charging", 5.0)] * 9)
    assert learner.decided == "inverted"


def test_inverted_zero_is_no_minus_zero_and_unknown_stays_unknown() -> None:
    learner = SignLearner("inverted")
    assert str(learner.resolve(0.0)) == "0.0"
    assert learner.resolve(None) is None
    assert SignLearner("auto").resolve(None) is None
