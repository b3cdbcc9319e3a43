"""Learns how long to wait for an answer and how long to pause before a question, from what the line does. Pure."""

from __future__ import annotations

import math
from collections import deque

UNLEARNED_TIMEOUT = 0.2
"""s to wait for an answer until enough of them were seen."""
LONGEST_TIMEOUT = 0.5
"""s; the longest wait."""
MARGIN = 0.03
"""s above the 99th percentile of the latencies."""
SAMPLES, ENOUGH, RENEW_EVERY = 200, 20, 10
"""Latencies kept; needed before the first estimate; between two estimates."""
PAUSE_STEP = 50
"""Questions without a loss after which the pause is halved."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.15
"""s; a shorter pause is none, and a longer one helps no known device (R24TM boards want 120 ms)."""


class Timing:
    """The reply time-out and the pause of one device on one line, s."""

    def __init__(self, *, pause: float) -> None:
        self.timeout = UNLEARNED_TIMEOUT
        self.pause = pause
        self._usual_pause = pause
        self._latencies: deque[float] = deque(maxlen=SAMPLES)
        self._count = 0
        self._without_loss = 0
        self._silences = 0
        self._since_noise = PAUSE_STEP

    @property
    def patience(self) -> float:
        """How long to wait for the first byte beyond the wire's own time: longer after two silences in a row."""
        return self.timeout if self._silences < 2 else LONGEST_TIMEOUT

    def answered(self, latency: float) -> None:
        """Note an answer that took `latency` s beyond the wire's own time."""
        self._silences = 0
        self._since_noise += 1
        self._latencies.append(max(latency, 0.0))
        self._count += 1
        if self._count >= ENOUGH and self._count % RENEW_EVERY == 0:
            ordered = sorted(self._latencies)
            self.timeout = min(ordered[math.ceil(0.99 * len(ordered)) - 1] + MARGIN, LONGEST_TIMEOUT)
        self._without_loss += 1
        if self.pause and self._without_loss >= PAUSE_STEP:
            self._without_loss = 0
            self.pause = self.pause / 2 if self.pause > SHORTEST_PAUSE else 0.0

    def lost(self, *, is_silent: bool) -> None:
        """Note a question without a whole answer; `is_silent` where not a byte came.

        A device that says nothing may have been asked too soon, so the pause grows; beyond the protocol's own only
        where the line is not noisy, because noise costs questions too.
        """
        self._without_loss = 0
        self._silences = self._silences + 1 if is_silent else 0
        self._since_noise = self._since_noise + 1 if is_silent else 0
        if self._usual_pause:
            longest = LONGEST_PAUSE if self._since_noise >= PAUSE_STEP else self._usual_pause
            self.pause = min(max(2 * self.pause, SHORTEST_PAUSE), max(longest, self.pause))
