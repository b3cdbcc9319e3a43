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

_CHARGES = {"charging": 1, "discharging": -1}


class SignLearner:
    """The sign of one battery's current."""

    def __init__(self, setting: Setting, learned: Sign | None = None) -> None:
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
        if self._decided is None and self._current is not None:
            self._vote(state)
        self._before = state
        self._current = None
        return self._decided

    def resolve(self, current: float | None) -> float | None:
        """Return `current` as A, positive charging; None where its sign cannot be told yet."""
        if current is None:
            return None
        if self._decided is not None:
            return current if self._decided == "normal" else 0.0 - current
        self._current = current
        claimed = _CHARGES.get(self._before or "")
        if claimed is not None and abs(current) >= DECIDING_CURRENT and claimed * current < 0:
            return None
        return current

    def _vote(self, after: str) -> None:
        current, claimed = self._current, _CHARGES.get(after)
        if current is None or abs(current) < DECIDING_CURRENT or claimed is None or after != self._before:
            self._votes.clear()
            return
        vote: Sign = "normal" if claimed * current > 0 else "inverted"
        if self._votes and self._votes[-1] != vote:
            self._votes.clear()
        self._votes.append(vote)
        if len(self._votes) >= DECIDING_READINGS:
            self._decided = vote
