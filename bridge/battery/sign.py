"""Learns whether a BMS counts charging or discharging current as positive, where its protocol leaves that open.

The BMS also says in words whether it charges. Three readings in a row of at least 1 A, each with the same word before
and after, decide; until then a reading that contradicts the word is unknown. Pure: the caller keeps what was learned.
"""

from __future__ import annotations

from typing import Literal

Sign = Literal["normal", "inverted"]
Setting = Literal["auto", "normal", "inverted"]

DECIDING_CURRENT = 1.0
"""A; smaller currents say nothing about the sign."""
DECIDING_READINGS = 3
DOUBTFUL_READINGS, OVERTHROWING_READINGS = 3, 10
"""So many readings in a row that contradict what was learned make the current unknown; so many turn it around."""

_CHARGES = {"charging": 1, "discharging": -1}


class SignLearner:
    """The sign of one battery's current. What was learned stays open to evidence: another BMS may answer some day."""

    def __init__(self, setting: Setting, learned: Sign | None = None) -> None:
        self._learns = setting == "auto"
        self._decided: Sign | None = learned if setting == "auto" else setting
        self._votes: list[Sign] = []
        self._before: str | None = None
        self._current: float | None = None

    @property
    def decided(self) -> Sign | None:
        """The sign once it is set or learned."""
        return self._decided

    def saw_state(self, state: str) -> Sign | None:
        """Take the BMS's word (`idle`, `charging`, `discharging`), said after the last current and before the next."""
        if self._learns and self._current is not None:
            self._vote(state)
        self._before = state
        self._current = None
        return self._decided

    def resolve(self, current: float | None) -> float | None:
        """Return `current` as A, positive charging; None where its sign cannot be told."""
        if current is None:
            return None
        self._current = current
        if self._decided is None:
            return None if _CHARGES.get(self._before or "", 0) * current < 0 else current
        if len(self._votes) >= DOUBTFUL_READINGS:
            return None
        return current if self._decided == "normal" else 0.0 - current

    def _vote(self, after: str) -> None:
        """Count a reading with the same word before and after; `_votes` holds equal ones that decide something new."""
        current, claimed = self._current or 0.0, _CHARGES.get(after)
        if abs(current) < DECIDING_CURRENT or claimed is None or after != self._before:
            if self._decided is None:
                self._votes.clear()
            return
        vote: Sign = "normal" if claimed * current > 0 else "inverted"
        if vote == self._decided or (self._votes and self._votes[-1] != vote):
            self._votes.clear()
        if vote != self._decided:
            self._votes.append(vote)
        if len(self._votes) >= (DECIDING_READINGS if self._decided is None else OVERTHROWING_READINGS):
            self._decided = vote
            self._votes.clear()
