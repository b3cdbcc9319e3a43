"""One battery's conversation over a serial line: ask, check, accept, and tell the tracker.

Questions go back to back, the wire is the limit. A lost or broken answer is asked for again within the cycle; what is
intact but not believable is refused, counted and kept as a capture. The source owns the link state and its timer. It
knows the driver's declaration and the bus, and nothing of who reads the result.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bridge.battery.link import ADVICE, DATA_ERROR, DATA_ERROR_STATES, LinkMonitor, Outcome
from bridge.battery.model import Block, LinkState, LinkStatus
from bridge.battery.plausibility import Doubt, Judge
from bridge.battery.sign import Setting, Sign, SignLearner
from bridge.bus import Bus
from bridge.errors import BridgeError, ConfigError, LinkError, LinkLost, ProtocolError
from bridge.interfaces import BatteryDescription, Clock, Cycle, LineStatistics, RefusedFrame
from bridge.protocols.driver import SLEEP_ECHO, Cadence, Driver, Question, Reader
from bridge.sources.schedule import Schedule
from bridge.sources.timing import Timing

_LOGGER = logging.getLogger(__name__)

REOPEN_SECONDS = 1.0
"""s between two attempts to open a port."""
SURE_TRIES, MOST_TRIES = 3, 10
"""A question is asked so often in any case; and at most, while the cycle has time."""
SILENT_TRIES = 4
"""Questions in a row without a byte after which a cycle is given up."""
SWAP_SECONDS = 10.0
"""After a longer silence another battery may be on the line."""
CYCLE_SHARE, LAST_SHARE = 0.7, 0.95
"""Share of the poll interval that asking again may use: of any block, and of the last one."""
CAPTURES = 32
"""Refused frames kept for diagnosis."""


class SerialSource:
    """The conversation with one battery."""

    def __init__(
        self,
        *,
        description: BatteryDescription,
        driver: Driver,
        bus: Bus,
        deliver: Callable[[Cycle], None],
        clock: Clock,
        address: int | None = None,
        cells: int | None = None,
        capacity: float | None = None,
        chemistry: str = "auto",
        current_sign: Setting = "auto",
        learned_sign: Sign | None = None,
        learned: Callable[[Sign], None] = lambda sign: None,
    ) -> None:
        self.description = description
        self._driver = driver
        self._bus = bus
        self._deliver = deliver
        self._clock = clock
        self._known = {} if cells is None else {"cell_count": cells}
        self._always = {"device_manufacturer": driver.manufacturer}
        self._configured = {} if capacity is None else {"full_capacity": capacity}
        self._hosts = driver.hosts(address)
        self._reader = Reader(driver, host=self._hosts[0], known=self._known)
        self._judge = Judge(chemistry=chemistry)
        self._sign = SignLearner(current_sign if driver.sign_is_open else "normal", learned_sign)
        self._learned = learned
        self._interval = description.poll_interval
        self._schedule = Schedule(driver, poll_interval=self._interval)
        self._timing = Timing(pause=driver.pause)
        self._monitor = LinkMonitor(poll_interval=self._interval, started_at=clock.monotonic())
        self._blocks: dict[str, Block] = {}
        self._raw: dict[str, Block] = {}
        self._link = LinkStatus(state=LinkState.STARTING, advice=ADVICE[LinkState.STARTING])
        self._accepted_time: float | None = None
        self._is_whole = False
        self._has_fast = False
        self._silences = 0
        self._timer: asyncio.TimerHandle | None = None
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._captures: deque[RefusedFrame] = deque(maxlen=CAPTURES)

    # --- what others see

    @property
    def is_complete(self) -> bool:
        """Whether every block was read once, or is not to be had from this battery."""
        return self._schedule.is_complete()

    def statistics(self) -> LineStatistics:
        """Return what happened on the line so far."""
        return LineStatistics(
            questions=self._counts["questions"],
            accepted=self._counts["accepted"],
            refused=dict(self._refused),
            asked_again=self._counts["asked_again"],
            cycles=self._counts["cycles"],
            cycle_seconds=self._monitor.cycle_seconds,
            reply_timeout=self._timing.timeout,
            pause=self._timing.pause if self._bus.needs_pause else 0.0,
            captures=tuple(self._captures),
        )

    async def run(self) -> None:
        """Talk with the battery until cancelled; a port that is not there is tried again every second."""
        loop = asyncio.get_running_loop()
        self._look()
        due = loop.time()
        is_stopping = False
        try:
            while True:
                try:
                    await self.cycle()
                    due = max(due + self._interval, loop.time())  # on a grid: being woken late does not add up
                except (LinkError, ConfigError) as error:
                    self._unplugged(error)
                    due = loop.time() + REOPEN_SECONDS
                await self._rest(due)
        except asyncio.CancelledError:
            is_stopping = True
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if not is_stopping:  # whoever restarts this: until then nothing here is live
                self._unplugged(LinkLost("Reading the battery failed; it is tried again.", url=self.description.port))

    async def _rest(self, until: float) -> None:
        """Wait until the next cycle is due (monotonic s), or the line is lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._bus.gone()

    # --- a cycle

    async def cycle(self) -> None:
        """Ask what is due and deliver the result; raise LinkError when the line cannot be used.

        While nothing is heard only the shortest question is put, to each address that the device may have.
        """
        now = self._clock.monotonic
        started = now()
        self._is_whole, self._has_fast, self._silences = True, False, 0
        if not self._monitor.state(started).is_online and not await self._find():
            self._look()
            return
        questions = self._schedule.due(now(), self._monitor.period)
        for question in questions:
            if question is self._driver.probe:
                self._silences = min(self._silences, SILENT_TRIES - 2)
            elif self._silences >= SILENT_TRIES:
                self._is_whole = False
                continue  # only the probe tells whether the line is dead or these questions are not understood
            share = LAST_SHARE if question is questions[-1] else CYCLE_SHARE
            await self._ask(question, started + share * self._interval)
        if self._is_whole:
            self._counts["cycles"] += 1
            self._monitor.completed_cycle(now() - started)
        if self._has_fast:
            self._schedule.completed_first()
            self._report()
        else:
            self._look()

    async def _find(self) -> bool:
        """Put the probe to each address that the device may have, first to the one that answered last."""
        for host in dict.fromkeys((self._reader.host, *self._hosts)):
            if host != self._reader.host:
                self._reader = Reader(self._driver, host=host, known=self._reader.known)
            if await self._read(self._driver.probe) is not None:
                heard_last = self._monitor.accepted_at
                if heard_last is not None and self._clock.monotonic() - heard_last > SWAP_SECONDS:
                    self._start_over()
                self._schedule.ask_structure()
                return True
        return False

    def _start_over(self) -> None:
        """Forget what the battery said: another one may be there now."""
        self._schedule.start_over()
        self._blocks.clear()
        self._raw.clear()
        self._reader = Reader(self._driver, host=self._reader.host, known=self._known)

    async def _ask(self, question: Question, limit: float) -> None:
        """Ask until the answer is accepted, as often as the time until `limit` (monotonic s) allows."""
        parts = self._driver.parts(question, self._reader.known)
        if not parts:  # not known yet, or this device has nothing to say to it
            self._is_whole &= parts == 0
            if parts == 0:
                self._schedule.asked(question, self._clock.monotonic(), is_answered=True)
            return
        loop = asyncio.get_running_loop()
        suspects: tuple[str, ...] = ()
        is_accepted = False
        sure = SURE_TRIES if question.cadence is Cadence.FAST else SURE_TRIES - 1
        silent = self._silences
        for attempt in range(MOST_TRIES):
            if attempt:
                self._counts["asked_again"] += 1
            block = await self._read(question, again=attempt > 0)
            if block is not None:
                doubt = self._judge.doubt(block, self._raw)
                if doubt is not None and suspects:
                    await self._ask_suspects(doubt)
                    doubt = self._judge.doubt(block, self._raw)
                    doubt = None if doubt is not None and self._judge.may_excuse(doubt) else doubt
                if doubt is None:
                    self._accept(question, block)
                    is_accepted = True
                    break
                self._doubt(block, doubt)
                suspects = doubt.suspects
            elif self._silences >= SILENT_TRIES or self._silences - silent >= sure:
                break
            if attempt + 1 >= sure and loop.time() >= limit:
                break
        if not is_accepted:
            for name in suspects:
                self._raw.pop(name, None)
                self._blocks.pop(name, None)
        self._is_whole &= is_accepted
        self._schedule.asked(question, self._clock.monotonic(), is_answered=is_accepted)

    async def _ask_suspects(self, doubt: Doubt) -> None:
        """Ask anew for the blocks that contradict a block which was read twice."""
        for name in doubt.suspects:
            suspect = self._driver.question(name)
            block = await self._read(suspect)
            others = {key: each for key, each in self._raw.items() if key == name}
            if block is not None and self._judge.doubt(block, others) is None:
                self._accept(suspect, block)

    async def _read(self, question: Question, *, again: bool = False) -> Block | None:
        """Put one question; return what came as a block, or None where no whole answer did."""
        reader, bus, timing = self._reader, self._bus, self._timing
        request = reader.ask(question, again=again)
        wire = bus.seconds(len(request) + reader.expected)
        self._counts["questions"] += 1
        heard = await bus.transaction(
            request,
            reader.receive,
            patience=wire + timing.patience,
            pause=timing.pause if bus.needs_pause else 0.0,
        )
        self._monitor.plugged(self._clock.monotonic())
        if _LOGGER.isEnabledFor(logging.DEBUG):
            heard_bytes = b"".join(reader.last_frames)
            _LOGGER.debug("%s: %s | %s", self.description.id, request.hex(" "), heard_bytes.hex(" "))
        block, outcome = None, Outcome.ACCEPTED
        try:
            values = reader.answer()
        except ProtocolError as error:
            outcome = self._failed(error, reader)
        else:
            timing.answered(heard.ended_at - heard.sent_at - wire)
            max_age = self._schedule.max_age(question, self._monitor.period)
            block = Block(name=question.name, at=heard.ended_at, values=values, max_age=max_age)
        for refused in reader.take_refused():
            self._note_refused(refused.cause, refused.frame)
        self._monitor.asked(outcome)
        self._silences = self._silences + 1 if outcome in (Outcome.NOTHING, Outcome.ASLEEP) else 0
        return block

    # --- what came of it

    def _failed(self, error: ProtocolError, reader: Reader) -> Outcome:
        is_echo = any(each.cause == SLEEP_ECHO for each in reader.refused)
        self._timing.lost(is_silent=reader.heard <= 0)
        if reader.heard > 0 and error not in reader.refused:
            self._note_refused(error.cause, error.frame)
        elif not is_echo and reader.heard <= 0:
            self._refused["timeout"] += 1
        if reader.heard <= 0:
            return Outcome.ASLEEP if is_echo else Outcome.NOTHING
        return Outcome.REFUSED if reader.has_frames or reader.saw_frame else Outcome.NOISE

    def _accept(self, question: Question, block: Block) -> None:
        self._counts["accepted"] += 1
        self._raw[block.name] = block
        values = {**block.values, **{key: each for key, each in self._configured.items() if key in block.values}}
        self._reader.known.update({key: values[key] for key in self._driver.structure_keys & values.keys()})
        self._reader.known.update(self._known)
        if self._driver.sign_is_open:
            self._sign_current(values)
        if question is self._driver.probe:
            values = {**self._always, **self._configured, **values}
            self._monitor.accepted_fast_block(block.at)
            self._accepted_time = self._clock.wall()
            self._has_fast = True
        self._blocks[block.name] = replace(block, values=values)

    def _sign_current(self, values: dict[str, Any]) -> None:
        """Learn from the BMS's word whether it charges, and give the current its sign."""
        if "charging_state" in values:
            known, decided = self._sign.decided, self._sign.saw_state(values["charging_state"])
            if decided is not None and known is None:
                _LOGGER.info("%s: learned that the BMS's current is %s", self.description.id, decided)
                self._learned(decided)
        if "current" in values:
            values["current"] = self._sign.resolve(values["current"])

    def _doubt(self, block: Block, doubt: Doubt) -> None:
        frames = b"".join(self._reader.last_frames)
        self._reader.forget()
        if doubt.cause == "jump":
            self._refused["jump"] += 1
            return
        _LOGGER.debug("%s: refused %s: %s", self.description.id, block.name, doubt.reason)
        self._monitor.asked(Outcome.REFUSED)
        self._note_refused(doubt.cause, frames)

    def _note_refused(self, cause: str, frame: bytes) -> None:
        self._judge.refused(self._clock.monotonic())
        self._refused[cause] += 1
        self._captures.append(RefusedFrame(at=self._clock.wall(), cause=cause, frame=frame))
        _LOGGER.debug("%s: refused (%s): %s", self.description.id, cause, frame.hex(" "))

    # --- the link state

    def _unplugged(self, error: BridgeError) -> None:
        self._monitor.unplugged()
        self._start_over()
        self._look(str(error))

    def _report(self) -> None:
        """Deliver the present blocks and link state, and set the timer for the state's next edge."""
        self._change_link(None)
        self._deliver_cycle()
        self._set_timer()

    def _look(self, advice: str | None = None) -> None:
        """Deliver the link state if it changed, and set the timer for its next edge."""
        if self._change_link(advice):
            self._deliver_cycle()
        self._set_timer()

    def _deliver_cycle(self) -> None:
        self._deliver(
            Cycle(
                battery=self.description.id,
                blocks=dict(self._blocks),
                link=self._link,
                accepted_at=self._monitor.accepted_at,
                time=self._accepted_time,
            )
        )

    def _change_link(self, advice: str | None) -> bool:
        """Bring the link status up to date; return whether its state or its advice changed."""
        state = self._monitor.state(self._clock.monotonic())
        advice = None if state.is_online else advice or ADVICE[state]
        before = self._link
        if (state, advice) == (before.state, before.advice) or (
            state is before.state is LinkState.UNPLUGGED and advice == ADVICE[state]
        ):
            return False
        wall = self._clock.wall()
        since = wall if state is not before.state else before.since
        error = DATA_ERROR if state in DATA_ERROR_STATES else None
        self._link = LinkStatus(state=state, since=since, error=error, advice=advice)
        if state.is_online != before.state.is_online or before.state is LinkState.STARTING is not state:
            if state.is_online:
                gone = None if before.since is None or wall is None else max(wall - before.since, 0.0)
                after = "" if gone is None else f" again, after {gone:.0f} s"
                _LOGGER.info("%s: the battery is heard%s", self.description.id, after)
            else:
                _LOGGER.warning("%s: the battery is %s: %s", self.description.id, state.value, advice)
        return True

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.monotonic()
        edge = self._monitor.next_look(now)
        if edge is not None:
            self._timer = asyncio.get_running_loop().call_later(max(edge - now, 0.0) + 0.001, self._look)
