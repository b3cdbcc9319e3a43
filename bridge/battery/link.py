"""How well a battery can be heard: the table of link states as a pure machine.

Fed with what each question brought and with the time; gives the state and the moment at which it has to be looked at
again. Knows no clock, no link and no protocol.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from statistics import median

from bridge.battery.model import LinkState

STARTING_SECONDS = 10.0
"""A battery that has never answered is `starting` for so long."""
UNKNOWN_CYCLE = 1.0
"""s that a cycle is taken to last while none was complete and they follow back to back."""
SILENT_QUESTIONS = 3
"""So many questions in a row without a single byte are silence."""
DATA_ERROR = "bms_data_error"
"""The word that owners know for a battery that cannot be read."""
DATA_ERROR_STATES = frozenset({LinkState.ASLEEP, LinkState.SILENT, LinkState.NOISY, LinkState.UNPLUGGED})

ADVICE = {
    LinkState.STARTING: "Waiting for the first answer of the battery.",
    LinkState.ASLEEP: (
        "The BMS sleeps and answers nothing: wake it with a load, a charger or its key, and raise its sleep time."
    ),
    LinkState.SILENT: (
        "Nothing is heard: the BMS is not wired, RX and TX (or A and B) are swapped, or it sleeps; wake it with a load,"
        " a charger or its key."
    ),
    LinkState.NOISY: (
        "Bytes arrive, but no valid answer: check protocol, speed and level (TTL, RS485, RS232), swap A and B, and keep"
        " the cable away from the battery cables."
    ),
    LinkState.STALE: (
        "The BMS answers, but what it says cannot be true: check chemistry and cell count in the configuration, then"
        " joints, plugs and cable."
    ),
    LinkState.UNPLUGGED: "The serial port is gone: plug the adapter in again, or check `port` in the configuration.",
    LinkState.UPDATING: "Firmware is being written; do not cut power or link.",
}
"""What to do in each offline state, one sentence each."""


class Outcome(Enum):
    """What a question to the battery brought."""

    NOTHING = "not a byte"
    NOISE = "bytes, but no valid frame"
    ASLEEP = "the protocol's sign of sleep"
    REFUSED = "a valid frame that was refused"
    ACCEPTED = "an accepted block"


class LinkMonitor:
    """The link state of one battery; all times are monotonic seconds."""

    def __init__(self, *, poll_interval: float, started_at: float) -> None:
        self._poll_interval = poll_interval
        self._started_at = started_at
        self._accepted_at: float | None = None
        self._is_plugged = True
        self._is_fresh = False
        self._is_updating = False
        self._recent: deque[Outcome] = deque(maxlen=2 * SILENT_QUESTIONS)
        self._cycles: deque[float] = deque(maxlen=10)

    @property
    def period(self) -> float:
        """T of the table: the poll interval, or the median of the last ten complete cycles where that is longer, s."""
        if not self._cycles:
            return self._poll_interval or UNKNOWN_CYCLE
        return max(self._poll_interval, median(self._cycles))

    @property
    def accepted_at(self) -> float | None:
        """When the last fast block was accepted."""
        return self._accepted_at

    @property
    def cycle_seconds(self) -> float | None:
        """Median length of the last ten complete cycles."""
        return median(self._cycles) if self._cycles else None

    def asked(self, outcome: Outcome) -> None:
        """Note what a question brought."""
        self._recent.append(outcome)

    def accepted_fast_block(self, at: float) -> None:
        """Note that a fast block was accepted, whose last byte arrived at `at`."""
        self._accepted_at = at
        self._is_fresh = True

    def completed_cycle(self, seconds: float) -> None:
        """Note the length of a cycle in which every question was answered."""
        self._cycles.append(seconds)

    def unplugged(self) -> None:
        """Note that the port has gone, and with it whatever was heard."""
        self._is_plugged = self._is_fresh = False
        self._recent.clear()

    def plugged(self, at: float) -> None:
        """Note that the port is open; a battery that comes with it has its time to start."""
        if not self._is_plugged:
            self._is_plugged = True
            self._started_at = at

    def updating(self, is_updating: bool) -> None:
        """Note that firmware holds the bus, or has let it go."""
        self._is_updating = is_updating

    def state(self, now: float) -> LinkState:
        """Return the state at `now`."""
        if self._is_updating:
            return LinkState.UPDATING
        if not self._is_plugged:
            return LinkState.UNPLUGGED
        if self._accepted_at is None or not self._is_fresh:
            return LinkState.STARTING if now - self._started_at < STARTING_SECONDS else self._reason()
        age = now - self._accepted_at
        if age <= 2 * self.period:
            return LinkState.OK
        return LinkState.LATE if age <= 3 * self.period + 1 else self._reason()

    def next_look(self, now: float) -> float | None:
        """Return when the state may change by the mere passing of time; None where it cannot."""
        if self._accepted_at is None or not self._is_fresh:
            edges = [self._started_at + STARTING_SECONDS]
        else:
            edges = [self._accepted_at + 2 * self.period, self._accepted_at + 3 * self.period + 1]
        return min((edge for edge in edges if edge >= now), default=None)

    def _reason(self) -> LinkState:
        newest = list(self._recent)[-SILENT_QUESTIONS:]
        answered = [outcome for outcome in self._recent if outcome is not Outcome.NOTHING]
        if answered and answered[-1] is Outcome.ASLEEP:
            return LinkState.ASLEEP
        if not answered or (len(newest) == SILENT_QUESTIONS and set(newest) == {Outcome.NOTHING}):
            return LinkState.SILENT
        if Outcome.REFUSED in answered:
            return LinkState.STALE
        return LinkState.NOISY if Outcome.NOISE in answered else LinkState.SILENT
