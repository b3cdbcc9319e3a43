"""Starts, watches and restarts the services of the bridge, and keeps how each is doing.

A service is an object with `async def run()`. One that fails is started again after a growing delay while its
neighbours run on. This is the only place that catches every exception; it knows nothing of what the services do.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from bridge.errors import BridgeError, ServiceError
from bridge.interfaces import ServiceStatus

_LOGGER = logging.getLogger(__name__)

_FIRST_DELAY = 1.0
_LONGEST_DELAY = 60.0
_JITTER = 0.2
"""Part of a delay by which it is shortened or lengthened at random."""
_STEADY_AFTER = 30.0
"""s that a service has to run well before its failures are forgotten."""
_QUIET_START = 1.0
"""s after which a service that told nothing counts as running."""
_STOP_DEADLINE = 5.0


class Service(Protocol):
    """What the supervisor runs."""

    async def run(self) -> None:
        """Work until cancelled; raise ServiceError where that is impossible now. Called again after a failure."""
        ...


@dataclass(slots=True)
class _Watched:
    """What the supervisor keeps of one service."""

    name: str
    service: Service
    task: asyncio.Task[None] | None = None
    is_stopping: bool = False
    restarts: int = 0
    failures: int = 0
    """In a row; 0 once it ran well for a while."""
    failing_since: float = 0.0
    told_errors: set[type[BaseException]] = field(default_factory=set)
    """Kinds of failure that this streak has shown at WARNING."""
    steady: asyncio.TimerHandle | None = None
    """Due when the service has run well for long enough."""


@dataclass(frozen=True, slots=True)
class _Told:
    state: str
    detail: str | None
    quiet_since: float | None = None
    """Loop time of the start of a service that has told nothing since."""


class Supervisor:
    """Runs named services and is the `Board` on which they write down how they are doing."""

    def __init__(
        self, *, jitter: Callable[[], float] = random.random, stop_deadline: float = _STOP_DEADLINE
    ) -> None:
        """`jitter` gives numbers from 0 to 1; `stop_deadline` is the time in s that each service has to stop."""
        self._jitter = jitter
        self._stop_deadline = stop_deadline
        self._watched: dict[str, _Watched] = {}
        self._board: dict[str, _Told] = {}
        self._ports: dict[str, int] = {}

    def add(self, name: str, service: Service) -> None:
        """Take `service` in, before `run`; services start in this order and stop in the reverse one."""
        if name in self._watched:
            raise ValueError(f"two services are called {name}")
        self._watched[name] = _Watched(name, service)
        self._board[name] = _Told("starting", None)

    # The board

    def tell(self, name: str, state: str, detail: str | None = None) -> None:
        """Set the state of `name`, which may also be a part of a service that is not run here by itself."""
        self._board[name] = _Told(state, detail)
        watched = self._watched.get(name)
        if watched is not None and state != "running":
            self._disarm(watched)
        elif watched is not None and watched.steady is None:
            self._arm(watched)

    def port(self, name: str, port: int | None) -> None:
        """Set the port really used by `name`; None, and the end of the service, clear it."""
        if port is None:
            self._ports.pop(name, None)
        else:
            self._ports[name] = port

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports really used, by service name: a view that follows changes."""
        return MappingProxyType(self._ports)

    def statuses(self) -> tuple[ServiceStatus, ...]:
        """Return how every service is doing, in the order of starting."""
        return tuple(self._status(name, told) for name, told in self._board.items())

    def _status(self, name: str, told: _Told) -> ServiceStatus:
        watched = self._watched.get(name)
        state = told.state
        if told.quiet_since is not None and asyncio.get_running_loop().time() - told.quiet_since >= _QUIET_START:
            state = "running"
        return ServiceStatus(
            name=name, state=state, detail=told.detail, restarts=watched.restarts if watched is not None else 0
        )

    # The services

    async def run(self) -> None:
        """Run every service until cancelled, then stop them one by one."""
        # Not a TaskGroup: that ends all its tasks at once and waits without end; here order and deadlines matter.
        loop = asyncio.get_running_loop()
        for watched in self._watched.values():
            watched.task = loop.create_task(self._watch(watched), name=f"service {watched.name}")
        try:
            await self._wait_for_mistakes()
        finally:
            await self._stop()

    async def _wait_for_mistakes(self) -> None:
        """Wait until cancelled; a task that ends with an error is a mistake of this module and is raised."""
        tasks = [watched.task for watched in self._watched.values() if watched.task is not None]
        if tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        await asyncio.get_running_loop().create_future()

    async def _stop(self) -> None:
        remaining = [watched for watched in self._watched.values() if watched.task is not None]
        try:
            while remaining:
                await self._stop_one(remaining.pop())
        finally:  # told to hurry: whatever is left goes at once
            for watched in remaining:
                self._cancel(watched)

    async def _stop_one(self, watched: _Watched) -> None:
        task = self._cancel(watched)
        if task is None:
            return
        _, late = await asyncio.wait({task}, timeout=self._stop_deadline)
        if late:
            _LOGGER.warning("%s did not stop within %g s and is left behind", watched.name, self._stop_deadline)

    @staticmethod
    def _cancel(watched: _Watched) -> asyncio.Task[None] | None:
        """Ask one service to end, and return its task unless it has ended already."""
        if watched.task is None or watched.task.done():
            return None
        watched.is_stopping = True
        watched.task.cancel()
        return watched.task

    async def _watch(self, watched: _Watched) -> None:
        """Run one service again and again until it finishes by itself or is stopped."""
        try:
            while (failure := await self._run_once(watched)) is not None:
                delay = self._delay(watched, failure)
                self._record_failure(watched, failure, delay)
                await asyncio.sleep(delay)
                watched.restarts += 1
        finally:
            if self._board[watched.name].state != "off":  # one that said so is off rather than stopped
                self._board[watched.name] = _Told("stopped", None)

    async def _run_once(self, watched: _Watched) -> Exception | None:
        """Run the service and return what it failed with, or None when it has to stay stopped."""
        self._board[watched.name] = _Told("starting", None, asyncio.get_running_loop().time())
        self._arm(watched)
        failure: Exception | None = None
        try:
            await watched.service.run()
        except asyncio.CancelledError:
            if watched.is_stopping:
                raise
            # Nobody asked for the end: something inside the service was cancelled and took the service along.
            failure = ServiceError("A part of it was cancelled unexpectedly.")
        except Exception as error:
            failure = _root(error)
            if watched.is_stopping:
                _LOGGER.warning("%s failed while it was stopped: %s", watched.name, failure, exc_info=_trace(failure))
        finally:
            self._disarm(watched)
            self.port(watched.name, None)
        if watched.is_stopping:  # and it turned its cancellation into something else
            return None
        _forget_cancellations()
        return failure

    # Failures

    def _delay(self, watched: _Watched, failure: Exception) -> float:
        if isinstance(failure, ServiceError) and failure.retry_after is not None:
            return failure.retry_after
        doublings = min(watched.failures, 16)
        jitter = 1 + _JITTER * (2 * self._jitter() - 1)
        return min(_FIRST_DELAY * 2.0**doublings * jitter, _LONGEST_DELAY)

    def _record_failure(self, watched: _Watched, failure: Exception, delay: float) -> None:
        if watched.failures == 0:
            watched.failing_since = asyncio.get_running_loop().time()
        watched.failures += 1
        is_new = type(failure) not in watched.told_errors
        watched.told_errors.add(type(failure))
        _LOGGER.log(
            logging.WARNING if is_new else logging.DEBUG,
            "%s failed: %s Next try in %.0f s.", watched.name, _sentence(failure), delay,
            exc_info=_trace(failure) if is_new else None,
        )
        self._board[watched.name] = _Told("waiting", _sentence(failure))

    def _arm(self, watched: _Watched) -> None:
        if watched.failures:
            loop = asyncio.get_running_loop()
            watched.steady = loop.call_later(_STEADY_AFTER, self._recovered, watched)

    def _disarm(self, watched: _Watched) -> None:
        if watched.steady is not None:
            watched.steady.cancel()
            watched.steady = None

    def _recovered(self, watched: _Watched) -> None:
        _LOGGER.info(
            "%s runs again, after %d failures in %.0f s", watched.name, watched.failures,
            asyncio.get_running_loop().time() - watched.failing_since - _STEADY_AFTER,
        )
        watched.failures = 0
        watched.told_errors.clear()
        watched.steady = None


def _forget_cancellations() -> None:
    """Give the next start a task that counts no cancellation.

    Until Python 3.13 a failing TaskGroup leaves one counted, and the next one would then raise CancelledError in place
    of its own error.
    """
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _root(error: Exception) -> Exception:
    """Return what a task group's error is about: its first unexpected part, else its first part."""
    leaves = list(_leaves(error))
    return next((leaf for leaf in leaves if not isinstance(leaf, BridgeError)), leaves[0])


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _sentence(failure: Exception) -> str:
    """Say what happened; the text of an unexpected exception may hold anything and stays in the log's traceback."""
    if isinstance(failure, BridgeError):
        return str(failure)
    return f"Unexpected {type(failure).__name__}; the log says where."


def _trace(failure: Exception) -> Exception | None:
    return None if isinstance(failure, BridgeError) else failure
