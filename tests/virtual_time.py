"""An asyncio loop whose clock jumps to the next timer as soon as nothing else can happen.

An hour of `asyncio.sleep` passes in the time its work takes, and always in the same order, so that tests of delays,
time-outs and schedules neither wait nor guess. Use it in either way:

    @in_virtual_time
    async def test_battery_is_silent_after_five_seconds() -> None:
        await asyncio.sleep(5)                  # returns at once; the loop's time is 5 s later

    def test_it() -> None:
        assert run_in_virtual_time(measure()) == 42

Decorated tests are plain functions for pytest: ordinary fixtures work, asynchronous ones do not (set up inside). The
time begins at 0; `asyncio.get_running_loop().time()` tells it, and `VirtualClock` is a `bridge.interfaces.Clock` on it.

What may take part: tasks, timers, queues, in-memory links, socket pairs inside the process, and work handed to
`asyncio.to_thread` (time stands still until the thread is done). What may not: child processes, real networks,
pseudo-terminals (the kernel delivers their bytes a little later, and the clock would have jumped meanwhile).

A test that waits for something that can never happen fails with `NothingLeft` instead of hanging.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_DEADLOCK_AFTER = 5.0
"""Real seconds without any timer, thread or readable file after which a test is given up."""


class NothingLeft(RuntimeError):
    """Every task waits, and nothing can wake any of them."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector loop with a clock of its own, which begins at 0."""

    def __init__(self) -> None:
        self._now = 0.0
        self._threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return virtual seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self._now += seconds

    @property
    def has_threads(self) -> bool:
        """Whether work handed to a thread is still under way."""
        return self._threads > 0

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Hand work to a thread and hold the time until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  (as asyncio's)
        """Wait for every thread; a deadline would pass at once where time jumps."""
        await super().shutdown_default_executor()

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self._threads -= 1


class _JumpingSelector(selectors.BaseSelector):
    """Asks the real selector without waiting; where nothing is ready, time passes instead."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.has_threads:
            return self._real.select(None)
        if timeout is not None:
            self._loop.jump(timeout)
            return ready
        ready = self._real.select(_DEADLOCK_AFTER)
        if not ready:
            raise NothingLeft("every task waits for something that can no longer happen")
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()


class VirtualClock:
    """A `Clock` on the running loop's time; its wall clock begins at `wall` (None: not set yet)."""

    def __init__(self, *, wall: float | None = 1_800_000_000.0) -> None:
        self.wall_at_start = wall

    def monotonic(self) -> float:
        """Return the running loop's time."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float | None:
        """Return the wall clock, which runs with the loop's time."""
        return None if self.wall_at_start is None else self.wall_at_start + self.monotonic()


def run_in_virtual_time(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run `coroutine` to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


def in_virtual_time(test: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, _T]:
    """Make an asynchronous test a plain one that runs in virtual time."""

    @functools.wraps(test)
    def run_test(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return run_in_virtual_time(test(*args, **kwargs))

    return run_test
