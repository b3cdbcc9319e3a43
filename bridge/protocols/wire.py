"""The parts of a frame, declared once for both directions.

A field is data: where it lies in a payload, its wire type, scale and bias. The same declaration decodes (reader) and
encodes (emulator, tests), so every conversion inverts. A framer is data too: how frames are found in a stream of bytes.
Bytes from outside never raise anything but `ProtocolError`. Knows nothing of batteries, links or time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bridge.errors import FrameError

# --- integers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer type on the wire."""

    size: int
    """Bytes."""
    signed: bool = False
    order: Literal["big", "little"] = "big"

    def read(self, payload: bytes, at: int) -> int:
        """Return the raw integer at offset `at`; FrameError where the payload ends before."""
        end = at + self.size
        if end > len(payload):
            raise FrameError(f"The frame ends before byte {end}.", cause="length", frame=payload)
        return int.from_bytes(payload[at:end], self.order, signed=self.signed)

    def write(self, raw: int, payload: bytearray, at: int) -> None:
        """Put `raw` at offset `at`; OverflowError where it does not fit."""
        payload[at : at + self.size] = raw.to_bytes(self.size, self.order, signed=self.signed)


U8 = Integer(1)
U16 = Integer(2)
U32 = Integer(4)
I16 = Integer(2, signed=True)

# --- fields -------------------------------------------------------------------------------------------------------


class Field(Protocol):
    """One named value in a payload; `decode` and `encode` are each other's inverse at the wire's resolution."""

    @property
    def name(self) -> str:
        """The key under which the value appears."""
        ...

    def decode(self, payload: bytes) -> Any:
        """Return the value (None: the device says that it does not know); FrameError where it cannot be."""
        ...

    def encode(self, value: Any, payload: bytearray) -> None:
        """Write the value into `payload`."""
        ...


@dataclass(frozen=True, slots=True)
class Number:
    """A number: value = (raw + bias) / divisor. Whole where the divisor is 1."""

    name: str
    at: int
    wire: Integer = U16
    divisor: int = 1
    bias: int = 0
    unavailable: tuple[int, ...] = ()
    """Raw values that mean "unknown"; the first is the one that is written."""

    def decode(self, payload: bytes) -> float | int | None:
        """Return the value in the unit that divisor and bias lead to."""
        return self.from_raw(self.wire.read(payload, self.at))

    def encode(self, value: float | None, payload: bytearray) -> None:
        """Write the nearest raw value; what is not representable is clamped to the wire type's range."""
        self.wire.write(self.to_raw(value), payload, self.at)

    def from_raw(self, raw: int) -> float | int | None:
        """Return what `raw` means."""
        if raw in self.unavailable:
            return None
        return raw + self.bias if self.divisor == 1 else (raw + self.bias) / self.divisor

    def to_raw(self, value: float | None) -> int:
        """Return the raw integer nearest to `value`."""
        if value is None:
            if not self.unavailable:
                raise ValueError(f"{self.name} has no wire value for unknown")
            return self.unavailable[0]
        bits = 8 * self.wire.size
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.wire.signed else (0, (1 << bits) - 1)
        return min(max(round(value * self.divisor) - self.bias, low), high)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A row of equal numbers, as a tuple; `item.at` is the offset of the first."""

    name: str
    item: Number
    count: int

    def decode(self, payload: bytes) -> tuple[float | int | None, ...]:
        """Return all `count` values, the first one first."""
        item = self.item
        size = item.wire.size
        return tuple(
            item.from_raw(item.wire.read(payload, at))
            for at in range(item.at, item.at + size * self.count, size)
        )

    def encode(self, value: Iterable[float | int | None], payload: bytearray) -> None:
        """Write the values that there are; the rest of the row stays as it is."""
        at = self.item.at
        for each in list(value)[: self.count]:
            self.item.wire.write(self.item.to_raw(each), payload, at)
            at += self.item.wire.size


@dataclass(frozen=True, slots=True)
class Flag:
    """A byte that is 0 or 1; anything else is not a valid answer."""

    name: str
    at: int

    def decode(self, payload: bytes) -> bool:
        """Return the flag; FrameError for a byte that is neither 0 nor 1."""
        raw = U8.read(payload, self.at)
        if raw > 1:
            raise FrameError(f"{self.name} is {raw}, neither 0 nor 1.", cause="value", frame=payload)
        return raw == 1

    def encode(self, value: bool | None, payload: bytearray) -> None:
        """Write 1 or 0."""
        payload[self.at] = 1 if value else 0


@dataclass(frozen=True, slots=True)
class Choice:
    """An integer that stands for one of a closed set of meanings."""

    name: str
    at: int
    meanings: Mapping[int, Any]
    wire: Integer = U8

    def decode(self, payload: bytes) -> Any:
        """Return the meaning; FrameError for a number that has none."""
        raw = self.wire.read(payload, self.at)
        if raw not in self.meanings:
            raise FrameError(f"{self.name} is {raw}, which means nothing.", cause="value", frame=payload)
        return self.meanings[raw]

    def encode(self, value: Any, payload: bytearray) -> None:
        """Write the first number with this meaning."""
        self.wire.write(next(raw for raw, meaning in self.meanings.items() if meaning == value), payload, self.at)


@dataclass(frozen=True, slots=True)
class Text:
    """ASCII text of fixed length, padded with NUL or space; None where it is empty or not printable."""

    name: str
    at: int
    length: int

    def decode(self, payload: bytes) -> str | None:
        """Return the text without its padding."""
        if self.at + self.length > len(payload):
            raise FrameError(f"{self.name} is cut off.", cause="length", frame=payload)
        raw = payload[self.at : self.at + self.length].strip(b"\x00 ")
        return raw.decode("ascii") if raw and all(0x20 <= byte < 0x7F for byte in raw) else None

    def encode(self, value: str | None, payload: bytearray) -> None:
        """Write the text, cut to length and padded with NUL."""
        raw = (value or "").encode("ascii", "replace")[: self.length]
        payload[self.at : self.at + self.length] = raw.ljust(self.length, b"\x00")


@dataclass(frozen=True, slots=True)
class BitNumbers:
    """A field of bits as the numbers (from 1) of those that are set; bit 0 of the first byte is number 1."""

    name: str
    at: int
    length: int

    def decode(self, payload: bytes) -> tuple[int, ...]:
        """Return the numbers of the bits that are set, lowest first."""
        raw = Integer(self.length, order="little").read(payload, self.at)
        return tuple(bit + 1 for bit in range(8 * self.length) if raw >> bit & 1)

    def encode(self, value: Iterable[int], payload: bytearray) -> None:
        """Set exactly the bits of these numbers."""
        raw = sum(1 << number - 1 for number in set(value) if 1 <= number <= 8 * self.length)
        Integer(self.length, order="little").write(raw, payload, self.at)


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of one payload."""

    size: int
    """Bytes."""
    fields: tuple[Field, ...]

    def decode(self, payload: bytes) -> dict[str, Any]:
        """Return every field's value by name."""
        return {field.name: field.decode(payload) for field in self.fields}

    def encode(self, values: Mapping[str, Any], filler: bytes = b"") -> bytes:
        """Return the payload that says `values`; bytes without a field come from `filler`, or are 0."""
        payload = bytearray(filler[: self.size].ljust(self.size, b"\x00"))
        for field in self.fields:
            field.encode(values[field.name], payload)
        return bytes(payload)


# --- frames in a stream -------------------------------------------------------------------------------------------


def sum8(data: bytes) -> int:
    """Return the sum of all bytes modulo 256."""
    return sum(data) & 0xFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """A checksum over the bytes from `first` to where it stands itself."""

    compute: Callable[[bytes], int]
    wire: Integer
    first: int = 0
    """Offset of the first byte that it covers."""
    from_end: int
    """Where it begins, counted back from the end of the frame (1 = the last byte)."""

    def holds(self, frame: bytes) -> bool:
        """Whether the frame carries the right checksum."""
        at = len(frame) - self.from_end
        return self.wire.read(frame, at) == self.compute(frame[self.first : at])

    def seal(self, frame: bytearray) -> bytes:
        """Write the checksum into a whole frame and return it."""
        at = len(frame) - self.from_end
        self.wire.write(self.compute(bytes(frame[self.first : at])), frame, at)
        return bytes(frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class Framer:
    """How frames look in a stream of bytes."""

    start: bytes
    """The bytes with which every frame begins."""
    header: int
    """How many bytes must be there before the length is known."""
    length: Callable[[bytes], int]
    """Total length of the frame whose header this is; 0 where this cannot be a frame's header."""
    checksum: Checksum
    maximum: int
    """The longest frame there is, bytes."""
    end: bytes = b""


class FrameFinder:
    """Finds whole, intact frames in a stream, whatever lies between them; its memory is bounded.

    `dropped` counts what was thrown away: `junk` bytes that belong to no frame, frames with a wrong `checksum`.
    """

    def __init__(self, framer: Framer) -> None:
        self._framer = framer
        self._buffer = bytearray()
        self.dropped: Counter[str] = Counter()
        self.broken: list[bytes] = []
        """Frames that failed their checksum since `take_broken` (the newest 16)."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take `data` and return the frames that are complete and intact now, in order."""
        buffer = self._buffer
        buffer += data
        framer = self._framer
        frames: list[bytes] = []
        while (start := buffer.find(framer.start)) >= 0:
            if start:
                self._drop(start)
            if len(buffer) < framer.header:
                return frames
            length = framer.length(bytes(buffer[: framer.header]))
            if not framer.header <= length <= framer.maximum:
                self._drop(1)
                continue
            if len(buffer) < length:
                return frames
            frame = bytes(buffer[:length])
            if frame.endswith(framer.end) and framer.checksum.holds(frame):
                del buffer[:length]
                frames.append(frame)
            else:
                self.dropped["checksum"] += 1
                self.broken = [*self.broken[-15:], frame]
                self._drop(1)
        keep = len(framer.start) - 1
        self._drop(max(len(buffer) - keep, 0))
        return frames

    @property
    def pending(self) -> bytes:
        """The beginning of a frame whose rest has not come yet."""
        return bytes(self._buffer)

    @property
    def is_waiting(self) -> bool:
        """Whether the beginning of a frame is there whose rest has not come yet."""
        return bool(self._buffer)

    def flush(self) -> list[bytes]:
        """Say that nothing more will come for now: give up what waits for more and return frames hidden behind it."""
        frames: list[bytes] = []
        while self._buffer:
            self._drop(1)
            frames += self.feed(b"")
        return frames

    def take_broken(self) -> list[bytes]:
        """Return the frames that failed their checksum since the last call."""
        broken, self.broken = self.broken, []
        return broken

    def _drop(self, count: int) -> None:
        if count:
            self.dropped["junk"] += count
            del self._buffer[:count]
