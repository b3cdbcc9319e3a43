"""The machine's clock as the rooms of the house see it."""

from __future__ import annotations

import asyncio
import time

BUILD_DATE = 1_795_000_000.0
"""Unix seconds shortly before this version was made (November 2026): a clock that shows less is not set yet."""


class SystemClock:
    """A `Clock` on the running event loop's time and the system's date."""

    def monotonic(self) -> float:
        """Return the running loop's time, s."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float | None:
        """Return Unix seconds; None until the clock is later than the build date."""
        now = time.time()
        return now if now > BUILD_DATE else None
