"""One emulated battery: its pack in time, its device's answers, and what goes wrong with them.

Time comes in with every call, so that it runs in virtual time too; between calls nothing happens. Knows nothing of how
bytes get to it and away.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bridge.emulator.faults import Faults
from bridge.emulator.load import HouseholdLoad
from bridge.emulator.pack import Pack
from bridge.emulator.profile import Recipe
from bridge.emulator.scenario import Event
from bridge.emulator.truth import Served, Witness
from bridge.protocols.driver import Heard, Responder, Variant

_FINEST_STEP = 1.0
"""s for which a wanted current is taken as constant at least."""
_MOST_STEPS = 20
"""Steps in which a long silence is caught up."""
_ECHO_DELAY = (0.001, 0.005)
"""s after which a sleeping Daly sends the request back (measured by users)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a device sends to one request."""

    frames: tuple[bytes, ...]
    """As they leave the device; what the line drops or corrupts is still in them."""
    latency: float
    """s from the request's last byte to the first of these."""
    heard: Heard
    values: Mapping[str, Any]
    """What it says, where anybody wants to know."""


class EmulatedBattery:
    """A pack with its management system, its household and its faults."""

    def __init__(
        self, recipe: Recipe, *, clock: Callable[[], float], wall_offset: float = 0.0, witness: Witness | None = None
    ) -> None:
        """`clock` gives monotonic seconds, `wall_offset` added to them is Unix time; `witness` hears what is served."""
        self.recipe = recipe
        self.pack = Pack(recipe.design)
        self.witness = witness
        self._chance = random.Random(f"line {recipe.design.seed}")
        self.faults = Faults(clock=clock, chance=self._chance)
        self._load = HouseholdLoad(recipe.design.seed)
        self._responder = Responder(recipe.driver, recipe.variant)
        self._wall_offset = wall_offset
        self._start = self._now = clock()
        self._events = list(recipe.events)
        self._current: float | None = None
        self._values: Mapping[str, Any] | None = None
        for fault in recipe.faults:
            self.faults.apply(fault)

    # --- what may be set at any time ---

    def set_current(self, current: float | None) -> None:
        """Want `current` A (positive charging) from now on; None follows the household again."""
        self._current = current
        self.pack.advance(0.0, self._wanted(self._now))
        self._values = None

    def set_soc(self, soc: float) -> None:
        """Put the pack at `soc` %."""
        self.pack.set_soc(soc)
        self._values = None

    def set_temperature(self, temperature: float) -> None:
        """Put the pack and its surroundings at `temperature` °C."""
        self.pack.set_temperature(temperature)
        self._values = None

    # --- time ---

    def advance(self, now: float) -> None:
        """Let time pass up to `now`, with the scenario's events at their moments."""
        while self._events and self._start + self._events[0].at <= now:
            event = self._events.pop(0)
            self._pass(self._start + event.at)
            self._act(event)
        self._pass(now)

    def next_event(self) -> float | None:
        """Return when the scenario's next event is due, monotonic s."""
        return self._start + self._events[0].at if self._events else None

    def _pass(self, until: float) -> None:
        gap = until - self._now
        step = max(gap / _MOST_STEPS, _FINEST_STEP)
        while (left := until - self._now) > 0:
            seconds = min(left, step)
            self.pack.advance(seconds, self._wanted(self._now))
            self._now = until if seconds == left else self._now + seconds
            self._values = None

    def _wanted(self, now: float) -> float:
        return self._load.current(now - self._start, self.pack) if self._current is None else self._current

    def _act(self, event: Event) -> None:
        if event.current is not None or event.ends_current:
            self.set_current(event.current)
        if event.temperature is not None or event.ends_temperature:
            self.set_temperature(self.recipe.design.ambient if event.temperature is None else event.temperature)
        if event.soc is not None:
            self.set_soc(event.soc)
        if event.ends_faults:
            self.faults.clear()
        for fault in event.faults:
            self.faults.apply(fault)

    # --- conversation ---

    def answer(self, data: bytes, at: float) -> Answer | None:
        """Take what a reader sent, whose last byte came `at`; return what to send back, if anything.

        Of several requests at once only the last is answered: whoever sent the others has given them up.
        """
        if at - self._now >= self.recipe.measured_every:
            self.advance(at)
        requests = self._responder.receive(self.faults.noise(data))
        if not requests or self.faults.value("silence"):
            return None
        heard = requests[-1]
        asleep = self.pack.is_asleep or self.faults.value("asleep")
        if self.faults.value("echo") or (asleep and self.recipe.sleeps_with_echo):
            return Answer(frames=(heard.frame,), latency=self._chance.uniform(*_ECHO_DELAY), heard=heard, values={})
        if asleep:
            return None
        self.pack.note_question()
        wrong = self.faults.strikes("wrong")
        frames = self._wrong_answer(heard) if wrong else self._responder.answer(heard, self.values())
        if not frames:
            return None
        values = self._decode(heard, frames) if self.witness is not None and not wrong else {}
        latency = self.recipe.latency + self.faults.value("delay") / 1000
        return Answer(frames=tuple(self._disturb(frames)), latency=latency, heard=heard, values=values)

    def served(self, answer: Answer, at: float) -> None:
        """Tell the witness that the last byte of `answer` left `at`."""
        if self.witness is not None:
            self.witness.note(Served(
                message=answer.heard.question.name, request=answer.heard.frame, reply=b"".join(answer.frames),
                values=answer.values, faults=self.faults.names(), at=at,
            ))  # fmt: skip

    def values(self) -> Mapping[str, Any]:
        """Return what the device measured last; it measures again when anything may have changed since."""
        if self._values is None:
            self._values = self._measure(self.pack)
        return self._values

    def _measure(self, pack: Pack) -> Mapping[str, Any]:
        now = dt.datetime.fromtimestamp(self._now + self._wall_offset, dt.UTC)
        clock = (now.year % 100, now.month, now.day, now.hour, now.minute, now.second)
        return {**pack.measure().values(), "clock": clock}

    def _wrong_answer(self, heard: Heard) -> list[bytes]:
        """Return an intact answer that the reader must refuse: to another question, or of another device."""
        driver, variant = self.recipe.driver, self.recipe.variant
        if self._chance.random() < 0.5:
            other = self._chance.choice([each for each in driver.questions if each is not heard.question])
            return self._responder.answer(replace(heard, question=other), self.values())
        neighbour = Variant(address=variant.address + 1, options=variant.options)
        pack = Pack(replace(self.recipe.design, seed=self.recipe.design.seed + 1, soc=35.0))
        return driver.answer(heard, self._measure(pack), neighbour, b"")

    def _disturb(self, frames: list[bytes]) -> list[bytes]:
        """Return the frames as a device with faults sends them."""
        if self.faults.strikes("truncate"):
            frames = _cut(frames, self._chance.randrange(1, sum(map(len, frames))))
        if junk := int(self.faults.value("junk")):
            frames = [self._chance.randbytes(junk), *frames]
        return frames

    def _decode(self, heard: Heard, frames: list[bytes]) -> Mapping[str, Any]:
        """Return what an answer says at the wire's resolution, with the current as it really flows."""
        driver, known = self.recipe.driver, self.values()
        parts = {driver.place(heard.question, heard.host, frame): frame for frame in frames}
        values = driver.decode(heard.question, parts, known)
        if values.get("current", 0.0) * known["current"] < 0:
            values["current"] = -values["current"]
        return values


def _cut(frames: list[bytes], keep: int) -> list[bytes]:
    """Return the first `keep` bytes of the frames, as frames."""
    kept = []
    for frame in frames:
        if keep > 0:
            kept.append(frame[:keep])
        keep -= len(frame)
    return kept
