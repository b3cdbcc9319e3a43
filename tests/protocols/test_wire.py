"""Fields invert, and frames are found in any stream of bytes, however it is cut into chunks."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from bridge.protocols.wire import (
    I16,
    U8,
    U16,
    U32,
    BitNumbers,
    Checksum,
    Choice,
    Flag,
    FrameFinder,
    Framer,
    Integer,
    Layout,
    Number,
    Numbers,
    Text,
    sum8,
)
from tests.protocols.daly_bytes import frame

DALY = Framer(
    start=b"\xa5",
    header=4,
    length=lambda header: 13 if header[3] == 8 else 0,
    checksum=Checksum(compute=sum8, wire=U8, from_end=1),
    maximum=13,
)
LENGTHY = Framer(
    start=b"\x55\xaa",
    header=3,
    length=lambda header: header[2] + 5,
    checksum=Checksum(compute=sum8, wire=U8, first=2, from_end=2),
    maximum=40,
    end=b"\x77",
)
"""Two start bytes, a length byte, a checksum that leaves the start out, an end byte: unlike Daly's in everything."""


def lengthy(data: bytes) -> bytes:
    body = bytes((len(data),)) + data
    return b"\x55\xaa" + body + bytes((sum(body) % 256,)) + b"\x77"


good_daly = st.binary(min_size=8, max_size=8).map(lambda data: frame(0x90, data))
good_lengthy = st.binary(max_size=35).map(lengthy)
junk = st.binary(max_size=30) | st.sampled_from([b"\xa5", b"\x55", b"\x55\xaa", b"\xa5\x01\x90\x08", b"\x55\xaa\x20"])


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    chunks, at = [], 0
    for size in sizes:
        chunks.append(stream[at : at + size])
        at += size
    return [*chunks, stream[at:]]


def find(framer: Framer, chunks: list[bytes]) -> tuple[list[bytes], Counter[str]]:
    finder = FrameFinder(framer)
    frames = [each for chunk in chunks for each in finder.feed(chunk)]
    frames += finder.flush()
    assert not finder.is_waiting
    return frames, finder.dropped


def streams(good: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    broken = st.tuples(good, st.integers(0, 60), st.integers(1, 255)).map(
        lambda parts: bytes(
            byte ^ parts[2] if at == parts[1] % len(parts[0]) else byte for at, byte in enumerate(parts[0])
        )
    )
    cut_off = st.tuples(good, st.integers(0, 60)).map(lambda parts: parts[0][: parts[1] % len(parts[0])])
    return st.lists(good | broken | cut_off | junk, max_size=12).map(b"".join)


@pytest.mark.parametrize(("framer", "good"), [(DALY, good_daly), (LENGTHY, good_lengthy)], ids=["daly", "lengthy"])
@given(data=st.data(), sizes=st.lists(st.integers(0, 40), max_size=30))
def test_chunking_never_changes_what_is_found(
    framer: Framer, good: st.SearchStrategy[bytes], data: st.DataObject, sizes: list[int]
) -> None:
    stream = data.draw(streams(good))
    frames, dropped = find(framer, [stream])
    assert find(framer, cut(stream, sizes)) == (frames, dropped)
    assert find(framer, [bytes((byte,)) for byte in stream]) == (frames, dropped)
    assert dropped["junk"] + sum(map(len, frames)) == len(stream), "every byte is in a frame or counted as dropped"


@pytest.mark.parametrize("framer", [DALY, LENGTHY], ids=["daly", "lengthy"])
@given(chunks=st.lists(st.binary(max_size=64), max_size=8))
def test_any_bytes_find_only_whole_frames_with_their_checksum(framer: Framer, chunks: list[bytes]) -> None:
    for each in find(framer, chunks)[0]:
        assert each.startswith(framer.start)
        assert each.endswith(framer.end)
        assert framer.checksum.holds(each)


@given(st.lists(good_daly, min_size=1, max_size=6), st.lists(st.binary(max_size=20), min_size=6, max_size=6))
def test_intact_frames_between_junk_without_start_bytes_are_all_found(frames: list[bytes], gaps: list[bytes]) -> None:
    quiet = [gap.replace(b"\xa5", b"\x00") for gap in gaps]
    stream = b"".join(gap + each for gap, each in zip(quiet, frames, strict=False))
    assert find(DALY, [stream])[0] == frames


def test_frame_that_begins_inside_a_broken_one_is_found() -> None:
    good = frame(0x95, bytes.fromhex("010d29 0d33 0d32 90"))
    for lost in range(1, 13):
        assert find(DALY, [good[:lost] + good])[0] == [good], lost


@pytest.mark.parametrize("framer", [DALY, LENGTHY])
@pytest.mark.parametrize(
    "noise", [b"\x00", b"\xa5", b"\x55\xaa", b"\xa5\x01\x90\x08", b"\x55\xaa\xff", b"\x55\xaa\x20"]
)
def test_endless_junk_needs_bounded_memory(framer: Framer, noise: bytes) -> None:
    finder = FrameFinder(framer)
    for _ in range(20_000):
        finder.feed(noise)
    finder.flush()
    assert finder.dropped["junk"] == 20_000 * len(noise), "what was not dropped would have been kept"
    assert len(finder.take_broken()) <= 16


def test_waiting_part_of_a_frame_is_never_longer_than_a_frame() -> None:
    finder = FrameFinder(LENGTHY)
    for fed, byte in enumerate((b"\x55\xaa\x23" + b"\x55\xaa" * 40) * 50, 1):
        finder.feed(bytes((byte,)))
        assert fed - finder.dropped["junk"] <= LENGTHY.maximum


# --- fields


def identical(field: Any, size: int, value: Any) -> bool:
    payload = bytearray(b"\x5a" * size)
    field.encode(value, payload)
    assert len(payload) == size
    return bool(field.decode(bytes(payload)) == value)


integers = st.sampled_from([U8, U16, U32, I16, Integer(3, order="little"), Integer(2, order="little", signed=True)])


@given(integers, st.sampled_from([1, 10, 100, 1000]), st.integers(-40000, 40000), st.integers(0, 2**32 - 1))
def test_number_inverts_for_every_raw_value(wire: Integer, divisor: int, bias: int, anything: int) -> None:
    raw = anything % (1 << 8 * wire.size) - (1 << 8 * wire.size - 1) * wire.signed
    field = Number("x", 1, wire, divisor=divisor, bias=bias)
    payload = bytearray(8)
    wire.write(raw, payload, 1)
    value = field.decode(bytes(payload))
    assert value is not None
    assert math.isclose(value * divisor - bias, raw, abs_tol=1e-6)
    again = bytearray(8)
    field.encode(value, again)
    assert again == payload


@given(st.floats(-1e9, 1e9), st.sampled_from([1, 10, 1000]), st.sampled_from([U8, U16, I16]))
@example(-0.04, 10, U16)
def test_value_that_does_not_fit_is_clamped(value: float, divisor: int, wire: Integer) -> None:
    field = Number("x", 0, wire, divisor=divisor)
    payload = bytearray(2)
    field.encode(value, payload)
    low, high = (-(1 << 15), (1 << 15) - 1) if wire.signed else (0, (1 << 8 * wire.size) - 1)
    assert field.decode(bytes(payload)) == min(max(round(value * divisor), low), high) / divisor


def test_unknown_number_has_its_own_raw_value_or_none() -> None:
    field = Number("x", 0, U8, bias=-40, unavailable=(0, 0xFF))
    assert [field.decode(bytes((raw,))) for raw in (0, 1, 254, 255)] == [None, -39, 214, None]
    payload = bytearray(b"\x77")
    field.encode(None, payload)
    assert payload == b"\x00"
    with pytest.raises(ValueError, match="unknown"):
        Number("x", 0, U8).encode(None, payload)


@given(st.lists(st.integers(0, 65535), min_size=3, max_size=3))
def test_row_of_numbers_inverts(raws: list[int]) -> None:
    field = Numbers("x", Number("", 1, divisor=1000), 3)
    assert identical(field, 8, tuple(raw / 1000 for raw in raws))


@given(st.sets(st.integers(1, 48)))
def test_bit_numbers_invert(numbers: set[int]) -> None:
    assert identical(BitNumbers("x", 0, 6), 8, tuple(sorted(numbers)))


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=7).map(str.strip))
def test_text_inverts_and_empty_is_unknown(text: str) -> None:
    assert identical(Text("x", 1, 7), 8, text or None)


@given(st.booleans(), st.sampled_from(["idle", "charging"]))
def test_flag_and_choice_invert(flag: bool, choice: str) -> None:
    assert identical(Flag("x", 2), 8, flag)
    assert identical(Choice("x", 2, {0: "idle", 1: "charging"}), 8, choice)


@given(st.binary(max_size=9))
def test_fields_raise_nothing_but_protocol_errors(payload: bytes) -> None:
    layout = Layout(9, (
        Number("a", 0), Flag("b", 2), Choice("c", 3, {0: "x", 7: "y"}), Text("d", 4, 3), BitNumbers("e", 7, 1),
        Numbers("f", Number("", 0, U8), 9),
    ))  # fmt: skip
    try:
        decoded = layout.decode(payload)
    except ProtocolError:
        return
    assert layout.decode(layout.encode(decoded, payload)) == decoded


def test_bytes_without_a_field_come_from_the_filler() -> None:
    layout = Layout(4, (Number("a", 1, U8),))
    assert layout.encode({"a": 7}) == b"\x00\x07\x00\x00"
    assert layout.encode({"a": 7}, b"\x01\x02\x03\x04\x05") == b"\x01\x07\x03\x04"
    assert layout.encode({"a": 7}, b"\x01") == b"\x01\x07\x00\x00"
