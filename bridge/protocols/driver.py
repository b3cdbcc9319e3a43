"""What a protocol declares, and the two sessions that run any such declaration: reader and responder.

A `Driver` says which questions there are, how they look on the wire and what the answers mean, in both directions. A
`Reader` asks and understands; a `Responder` understands questions and answers them from a battery's values. Neither
does I/O and neither knows the time: bytes go in, bytes and values come out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from bridge.errors import FrameError, ProtocolError, ReplyTimeout, UnexpectedReply
from bridge.interfaces import LinkOptions
from bridge.protocols.wire import FrameFinder, Framer

SLEEP_ECHO = "echo"
"""Cause of an `UnexpectedReply` that is a battery's sign of sleep: the request itself comes back."""


class Cadence(Enum):
    """How often a question is due."""

    FAST = "every cycle"
    SLOW = "every 5 s"
    RARE = "at the start and every hour"
    ON_REQUEST = "only when somebody wants to know"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question to the BMS; its answer is a block, accepted whole or not at all."""

    name: str
    """The block's name: its main quantity, such as `cell_voltages`."""
    cadence: Cadence
    command: int
    """The vendor's number of it."""
    title: str
    """The vendor document's own name of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """How one emulated device differs from the plain one: what fielded devices are known to do."""

    address: int = 1
    """The device's own address or board number."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Protocol-specific switches; a driver names those it knows in `variant_options`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A question as a responder understood it."""

    question: Question
    host: int
    """The address in the request."""
    frame: bytes


class Driver(ABC):
    """One protocol, declared. Every method is pure; bytes from outside raise nothing but `ProtocolError`."""

    name: str
    """As in the configuration: `daly`."""
    title: str
    """For people: `Daly (A5)`."""
    manufacturer: str
    line: LinkOptions
    pause: float
    """s that the device needs between an answer and the next question on a real line."""
    requests: Framer
    replies: Framer
    questions: tuple[Question, ...]
    """In the order in which they are best asked: the fastest values last."""
    structure: Question | None = None
    """The question whose answer the others need (how many cells there are), asked first."""
    probe: Question
    """The shortest question that every device answers: asked while nothing is heard."""
    structure_keys: frozenset[str] = frozenset()
    """What a reader has to know of the device to understand its other answers."""
    sign_is_open: bool = False
    """Whether the protocol leaves open which sign of the current is charging."""
    variant_options: Mapping[str, Any] = {}
    """Switches of the emulated device with their defaults."""

    @abstractmethod
    def hosts(self, address: int | None) -> tuple[int, ...]:
        """Return the addresses to put into requests to the device `address` (None: the first one), likeliest first."""

    @abstractmethod
    def request(self, question: Question, host: int) -> bytes:
        """Return the frame that asks `question`."""

    @abstractmethod
    def parts(self, question: Question, known: Mapping[str, Any]) -> int | None:
        """Return how many frames answer `question` (0: it need not be asked); None while that is not known yet."""

    @abstractmethod
    def place(self, question: Question, host: int, frame: bytes) -> int:
        """Return which part of the answer an intact frame is; raise UnexpectedReply where it answers something else."""

    @abstractmethod
    def is_complete(self, question: Question, parts: Mapping[int, bytes], known: Mapping[str, Any]) -> bool:
        """Whether these frames, by what `place` said of them, are the whole answer."""

    @abstractmethod
    def decode(self, question: Question, parts: Mapping[int, bytes], known: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the frames say: attributes of `BatteryState`, and auxiliary keys of the driver's own."""

    @abstractmethod
    def understand(self, frame: bytes, address: int) -> Heard | None:
        """Return the question that an intact request puts to the device `address`; None where it is for another."""

    @abstractmethod
    def answer(
        self, heard: Heard, values: Mapping[str, Any], variant: Variant, previous: bytes
    ) -> list[bytes]:
        """Return the frames that answer `heard`; `previous` is the frame that the device sent last."""

    @abstractmethod
    def identify(self, frame: bytes) -> tuple[Question, bool]:
        """Return what an intact frame belongs to and whether it is a reply; UnexpectedReply for a foreign one."""

    def reply_length(self, question: Question, known: Mapping[str, Any]) -> int:
        """Return how many bytes answer `question`, as far as it is known."""
        return self.replies.maximum * (self.parts(question, known) or 1)

    def question(self, name: str) -> Question:
        """Return the question called `name`; KeyError where there is none."""
        return next(each for each in self.questions if each.name == name)


class Reader:
    """Asks one device, one question at a time, and tells when the answer is whole.

    `refused` collects what was not believed, for counting and for captures. What was learned of the device (cell
    count, frames that it sends too many) is in `known` and `surplus`.
    """

    def __init__(self, driver: Driver, *, host: int, known: Mapping[str, Any] | None = None) -> None:
        self.driver = driver
        self.host = host
        self.known: dict[str, Any] = dict(known or {})
        self.surplus: Counter[str] = Counter()
        self.refused: list[ProtocolError] = []
        self.heard = 0
        """Bytes since the question was put."""
        self._finder = FrameFinder(driver.replies)
        self._question: Question | None = None
        self._parts: dict[int, bytes] = {}
        self._frames = 0
        self._before: Question | None = None
        self.saw_frame = False
        """Whether an intact frame came since the question was put, whatever it said."""

    @property
    def expected(self) -> int:
        """How many bytes the whole answer has, with the surplus frames that this device is known to send."""
        question, driver = self._current, self.driver
        return driver.reply_length(question, self.known) + self.surplus[question.name] * driver.replies.maximum

    @property
    def has_frames(self) -> bool:
        """Whether at least one intact frame of the answer is there."""
        return bool(self._parts)

    @property
    def last_frames(self) -> tuple[bytes, ...]:
        """The frames of the present answer, in the order of their parts."""
        return tuple(frame for _, frame in sorted(self._parts.items()))

    def ask(self, question: Question, *, again: bool = False) -> bytes:
        """Begin `question` and return the request; `again` keeps the intact frames of the broken answer before."""
        if not (again and question is self._question):
            self._parts = {}
        if question is not self._question:
            self._before = self._question
        self._question = question
        self._frames = self.heard = 0
        self.saw_frame = False
        return self.driver.request(question, self.host)

    def receive(self, data: bytes) -> bool:
        """Take what arrived; True once the answer is whole, or all of its bytes came and it is not."""
        self.heard += len(data)
        for frame in self._finder.feed(data):
            self._take(frame)
        self._note_broken()
        if self._question is None or self.heard < self.expected:
            return False
        return not self._finder.is_waiting or self._is_whole

    def answer(self) -> dict[str, Any]:
        """Return what the answer says; raise the reason why there is none. The line is taken to be quiet by now."""
        question = self._current
        if not self._is_whole:
            for frame in self._finder.flush():
                self._take(frame)
            self._note_broken()
        if not self._is_whole:
            if self.heard == 0:
                raise ReplyTimeout(f"No answer to {question.title}.", heard=0)
            if self.refused and not self._parts:
                raise self.refused[-1]
            raise ReplyTimeout(f"The answer to {question.title} is not complete.", heard=self.heard, cause="incomplete")
        needed = self.driver.parts(question, self.known)
        if needed is not None:
            self.surplus[question.name] = max(self._frames - needed, 0)
        self.refused = [each for each in self.refused if each.cause != SLEEP_ECHO]  # the adapter hears itself
        try:
            return self.driver.decode(question, self._parts, self.known)
        except ProtocolError:
            self._parts = {}
            raise

    def forget(self) -> None:
        """Throw away the frames of the present answer: what they say was not believed."""
        self._parts = {}

    def take_refused(self) -> list[ProtocolError]:
        """Return what was refused since the last call."""
        refused, self.refused = self.refused, []
        return refused

    @property
    def _current(self) -> Question:
        if self._question is None:
            raise RuntimeError("nothing was asked")
        return self._question

    @property
    def _is_whole(self) -> bool:
        return self.driver.is_complete(self._current, self._parts, self.known)

    def _take(self, frame: bytes) -> None:
        question = self._question
        if question is None:
            self.refused.append(UnexpectedReply("A frame that nobody asked for.", frame=frame))
            return
        try:
            part = self.driver.place(question, self.host, frame)
        except ProtocolError as error:
            if error.cause == SLEEP_ECHO:
                self.heard -= len(frame)
            else:
                self.saw_frame = True
            if self._before is not None and self._answers(self._before, frame):
                self.heard -= len(frame)
                self.surplus[self._before.name] += 1
            else:
                self.refused.append(error)
            return
        self._frames += 1
        self._parts[part] = frame

    def _answers(self, question: Question, frame: bytes) -> bool:
        try:
            self.driver.place(question, self.host, frame)
        except ProtocolError:
            return False
        return True

    def _note_broken(self) -> None:
        for frame in self._finder.take_broken():
            self.refused.append(FrameError("The checksum is wrong.", cause="checksum", frame=frame))


class Responder:
    """Plays one device: understands questions and answers them from the values that it is given."""

    def __init__(self, driver: Driver, variant: Variant) -> None:
        self.driver = driver
        self.variant = variant
        self._finder = FrameFinder(driver.requests)
        self._previous = b""

    def receive(self, data: bytes) -> list[Heard]:
        """Take what arrived and return the questions in it that are for this device."""
        heard = (self.driver.understand(frame, self.variant.address) for frame in self._finder.feed(data))
        return [each for each in heard if each is not None]

    def answer(self, heard: Heard, values: Mapping[str, Any]) -> list[bytes]:
        """Return the frames that answer `heard` from a battery's `values`."""
        frames = self.driver.answer(heard, values, self.variant, self._previous)
        if frames:
            self._previous = frames[-1]
        return frames


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedFrame:
    """One frame of a capture and what it says."""

    message: str | None
    direction: str | None
    """`request` or `reply`."""
    values: Mapping[str, Any]
    error: str | None = None


def decode_capture(driver: Driver, data: bytes, known: Mapping[str, Any] | None = None) -> list[DecodedFrame]:
    """Return what each frame in a captured stream says, in order; what earlier frames told helps with later ones.

    A part of a longer answer says what has been gathered of that answer so far. Where the protocol leaves the sign of
    the current open, the word for charging in the same capture decides it.
    """
    decoder = _CaptureDecoder(driver, known or {})
    finder = FrameFinder(driver.replies)
    decoded: list[DecodedFrame] = []
    for byte in data:
        frames = finder.feed(bytes((byte,)))
        decoded += map(decoder.say_broken, finder.take_broken())
        decoded += map(decoder.say, frames)
    rest = finder.pending
    frames = finder.flush()
    broken = finder.take_broken()
    decoded += map(decoder.say_broken, broken)
    decoded += map(decoder.say, frames)
    if rest and not frames and not broken:
        decoded.append(decoder.say_broken(rest))
    if not decoded and data:
        decoded.append(decoder.say_broken(data))
    return _with_sign(decoded) if driver.sign_is_open else decoded


class _CaptureDecoder:
    """Decodes one frame after another, remembering what the earlier ones told."""

    def __init__(self, driver: Driver, known: Mapping[str, Any]) -> None:
        self._driver = driver
        self._known = dict(known)
        self._gathered: dict[str, dict[int, bytes]] = {}

    def say(self, frame: bytes) -> DecodedFrame:
        driver = self._driver
        try:
            question, is_reply = driver.identify(frame)
            if not is_reply:
                self._gathered.pop(question.name, None)
                return DecodedFrame(message=question.name, direction="request", values={})
            part = driver.place(question, 0, frame)
            parts = self._gathered.setdefault(question.name, {})
            if parts and part == min(parts):
                parts.clear()  # a new answer begins
            parts[part] = frame
            values = driver.decode(question, parts, self._known)
        except ProtocolError as error:
            return DecodedFrame(message=None, direction=None, values={}, error=str(error))
        self._known.update(values)
        return DecodedFrame(message=question.name, direction="reply", values=values)

    def say_broken(self, frame: bytes) -> DecodedFrame:
        framer = self._driver.replies
        if not frame.startswith(framer.start):
            reason = f"No {self._driver.title} frame begins in {frame[:8].hex(' ')}."
        elif len(frame) < framer.header or len(frame) < framer.length(frame[: framer.header]):
            reason = f"The frame is cut off after {len(frame)} bytes."
        else:
            reason = "The checksum is wrong."
        return DecodedFrame(message=None, direction=None, values={}, error=reason)


def _with_sign(decoded: list[DecodedFrame]) -> list[DecodedFrame]:
    """Turn the sign of the current around where the capture says that the battery does the opposite."""
    words = [each.values["charging_state"] for each in decoded if each.values.get("charging_state") in _SIGNS]
    if not words:
        return decoded
    return [
        replace(each, values={**each.values, "current": abs(each.values["current"]) * _SIGNS[words[0]]})
        if each.values.get("current")
        else each
        for each in decoded
    ]


_SIGNS = {"charging": 1, "discharging": -1}
