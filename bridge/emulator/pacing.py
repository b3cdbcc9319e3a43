"""The wire between a reader and an emulated device: it takes its time, ten bits a byte, both ways.

A request counts as heard when its last byte would have come, counted from the arrival of its first; an answer leaves in
pieces such as an adapter delivers, each when its last byte would have been there. All moments are absolute, so that
being late never adds up, and nothing is ever early. All time is the running loop's. Knows nothing of what bytes mean.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from bridge.emulator.battery import Answer, EmulatedBattery

PIECE = 16
"""Bytes that are delivered at once at most."""
_BACKLOG = 512
"""Bytes on the wire towards the device at most; what a writer stuffs in beyond does not make later requests wait."""
TOO_LATE = 1.0
"""s after which what should have been on the wire long ago is not sent any more: this process was halted."""


class _Transmission:
    """An answer with the moments at which its pieces have arrived."""

    __slots__ = ("answer", "begin", "end", "pieces")

    def __init__(self, answer: Answer, begin: float, byte_time: float) -> None:
        self.answer = answer
        self.begin = self.end = begin
        self.pieces: deque[tuple[float, bytes]] = deque()
        sent = 0
        for frame in answer.frames:
            for at in range(0, len(frame), PIECE):
                piece = frame[at : at + PIECE]
                sent += len(piece)
                self.end = begin + sent * byte_time
                self.pieces.append((self.end, piece))


class Wire:
    """Carries requests to a battery and its answers back, at the speed of a serial line."""

    def __init__(self, battery: EmulatedBattery, deliver: Callable[[bytes], None]) -> None:
        self._battery = battery
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._byte_time = 10 / battery.recipe.baudrate
        self._heard_until = 0.0
        self._sending: deque[_Transmission] = deque()
        """What is on the wire, and behind it what waits for it: two at most."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopped = False

    def receive(self, data: bytes) -> None:
        """Take bytes that the reader has just put on the wire."""
        now = self._loop.time()
        busy_until = max(now, self._heard_until) + len(data) * self._byte_time
        self._heard_until = min(busy_until, now + _BACKLOG * self._byte_time)
        answer = self._battery.answer(data, self._heard_until)
        if answer is None or self._is_stopped:
            return
        sending = self._sending
        while sending and sending[-1].begin > now:
            sending.pop()  # not begun yet: who asks again has given up the question before
        begin = self._heard_until + answer.latency
        if sending:
            begin = max(begin, sending[-1].end)
        sending.append(_Transmission(answer, begin, self._byte_time))
        self._set_timer()

    def stop(self) -> None:
        """Cut the wire for good: what is under way is lost."""
        self._is_stopped = True
        self._sending.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        """Wake up for the next piece, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._sending:
            self._timer = self._loop.call_at(self._sending[0].pieces[0][0], self._emit)

    def _emit(self) -> None:
        """Deliver the piece that is due. Whoever gets it may send the next request at once."""
        now = self._loop.time()
        transmission = self._sending[0]
        due, piece = transmission.pieces.popleft()
        is_last = not transmission.pieces
        is_too_late = now - due > TOO_LATE
        if is_last or is_too_late:
            self._sending.popleft()
        self._set_timer()
        if is_too_late:
            return
        if heard := self._battery.faults.noise(piece):
            self._deliver(heard)
        if is_last:
            self._battery.served(transmission.answer, now)
