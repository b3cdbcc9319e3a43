"""Which questions a cycle asks: fast ones always, slow ones spread over the cycles, rare ones hourly. Pure."""

from __future__ import annotations

import math

from bridge.protocols.driver import Cadence, Driver, Question

SLOW_SECONDS = 5.0
"""Every slow block is asked for once in this time."""
RARE_SECONDS = 3600.0
HOPELESS = 3
"""A question that brought no answer so often in a row is put after a minute, then after two, and so on to an hour."""
HOPELESS_SECONDS = 60.0


class Schedule:
    """The questions of one battery and when each was last asked (monotonic s)."""

    def __init__(self, driver: Driver, *, poll_interval: float) -> None:
        self._driver = driver
        self._poll_interval = poll_interval
        self._answered: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._is_first = True

    def due(self, now: float, period: float) -> list[Question]:
        """Return the questions of the cycle that begins now, in the driver's order; `period` is its expected length."""
        due = [each for each in self._driver.questions if self._is_due(each, now)]
        slow, rare = ([each for each in due if each.cadence is kind] for kind in (Cadence.SLOW, Cadence.RARE))
        chosen = [each for each in due if each.cadence is Cadence.FAST or each is self._driver.structure]
        if self._poll_interval == 0:
            chosen += slow
        if not self._is_first:
            chosen += sorted(slow, key=self._last_asked)[: self._slow_count(period)]
            chosen += rare[:1]
        return [each for each in due if each in chosen]

    def asked(self, question: Question, now: float, *, is_answered: bool) -> None:
        """Note that `question` was asked, and whether its answer was accepted."""
        self._asked[question.name] = now
        if is_answered:
            self._answered[question.name] = now
            self._failures.pop(question.name, None)
        else:
            self._failures[question.name] = self._failures.get(question.name, 0) + 1

    def start_over(self) -> None:
        """Forget what was answered: another device may be on the line now."""
        self._answered.clear()
        self._failures.clear()
        self._is_first = True

    def ask_structure(self) -> None:
        """Ask for the structure again in the next cycle: after a silence another device may answer."""
        if self._driver.structure is not None:
            self._answered.pop(self._driver.structure.name, None)

    def completed_first(self) -> None:
        """Note that the fast blocks were accepted once: from now on slow and rare ones are asked too."""
        self._is_first = False

    def is_complete(self) -> bool:
        """Whether every fast, slow and rare block was answered once, or is not to be had."""
        wanted = [each for each in self._driver.questions if each.cadence is not Cadence.ON_REQUEST]
        return all(each.name in self._answered or self._failures.get(each.name, 0) >= 2 for each in wanted)

    def max_age(self, question: Question, period: float) -> float:
        """Return the age (s) at which what `question` brought counts as unknown."""
        match question.cadence:
            case Cadence.FAST:
                return 3 * period + 1
            case Cadence.SLOW:
                return max(4 * SLOW_SECONDS, 4 * period)
            case _:
                return 3 * RARE_SECONDS

    def _slow_count(self, period: float) -> int:
        """Return how many slow questions a cycle takes so that all come round in time; two at the start."""
        slow = [each.name for each in self._driver.questions if each.cadence is Cadence.SLOW]
        cycles = max(int(SLOW_SECONDS / period), 1) if period else len(slow)
        return max(math.ceil(len(slow) / cycles), 1 if self._answered.keys() >= set(slow) else 2)

    def _is_due(self, question: Question, now: float) -> bool:
        """Whether it is time for a question; one that the device never answers is put more and more seldom."""
        if question is self._driver.probe or question.cadence is Cadence.ON_REQUEST:
            return question is self._driver.probe
        failures, is_answered = self._failures.get(question.name, 0), question.name in self._answered
        wait = RARE_SECONDS if is_answered and not failures and question.cadence is Cadence.RARE else 0.0
        if failures >= HOPELESS and question is self._driver.structure:
            wait = SLOW_SECONDS
        elif failures >= HOPELESS and not (is_answered and question.cadence is Cadence.FAST):
            wait = min(HOPELESS_SECONDS * 2.0 ** min(failures - HOPELESS, 10), RARE_SECONDS)
        return now - self._last_asked(question) >= wait

    def _last_asked(self, question: Question) -> float:
        return self._asked.get(question.name, -math.inf)
