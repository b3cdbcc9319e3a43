"""What every protocol driver has to keep; a new driver is tested by being there.

It also needs frames from elsewhere (`tests/captures/<name>.toml`) and an emulator profile
(`bridge/emulator/profiles/<name>.toml`): a driver without either fails here.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.battery.model import Temperature
from bridge.emulator.pack import Pack
from bridge.emulator.profile import make_recipe
from bridge.errors import ConfigError, ProtocolError
from bridge.protocols.driver import Cadence, DecodedFrame, Driver, Question, Reader, Responder, Variant, decode_capture
from bridge.protocols.registry import driver, drivers
from tests.protocols.captures import load

every_driver = pytest.mark.parametrize("protocol", drivers().values(), ids=lambda each: each.name)


@cache
def emulated(protocol: Driver) -> dict[str, Any]:
    """Return what the protocol's emulated pack measures."""
    return Pack(make_recipe(protocol.name).design).measure().values() | {"clock": (26, 11, 21, 2, 30, 59)}


@cache
def known(protocol: Driver) -> dict[str, Any]:
    return {key: emulated(protocol)[key] for key in protocol.structure_keys}


@cache
def frames_of(protocol: Driver, question: Question) -> tuple[bytes, ...]:
    """Return the emulated answer to a question."""
    responder = Responder(protocol, Variant())
    (heard,) = responder.receive(protocol.request(question, protocol.hosts(None)[0]))
    return tuple(responder.answer(heard, emulated(protocol)))


@cache
def all_frames(protocol: Driver) -> tuple[bytes, ...]:
    return tuple(frame for question in protocol.questions for frame in frames_of(protocol, question))


def streams(protocol: Driver) -> st.SearchStrategy[bytes]:
    """Intact frames, frames with a changed byte, pieces of frames, requests and junk, in any order."""
    host = protocol.hosts(None)[0]
    requests = [protocol.request(question, host) for question in protocol.questions]
    frame = st.sampled_from([*all_frames(protocol), *requests])
    changed = st.tuples(frame, st.integers(0, 400), st.integers(1, 255)).map(
        lambda parts: bytes(
            byte ^ parts[2] if at == parts[1] % len(parts[0]) else byte for at, byte in enumerate(parts[0])
        )
    )
    piece = st.tuples(frame, st.integers(0, 400)).map(lambda parts: parts[0][: parts[1] % len(parts[0])])
    return st.lists(frame | changed | piece | st.binary(max_size=20), max_size=12).map(b"".join)


def read(reader: Reader, chunks: Iterable[bytes]) -> tuple[Any, Counter[str]]:
    """Return the answer ("refused" where there is none) and what was refused, by cause."""
    for chunk in chunks:
        reader.receive(chunk)
    try:
        answer: Any = reader.answer()
    except ProtocolError:
        answer = "refused"
    return answer, Counter(each.cause for each in reader.take_refused())


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    chunks, at = [], 0
    for size in sizes:
        chunks.append(stream[at : at + size])
        at += size
    return [*chunks, stream[at:]]


# --- what has to be there


@every_driver
def test_driver_has_the_name_of_its_module(protocol: Driver) -> None:
    assert importlib.import_module(f"bridge.protocols.{protocol.name}").DRIVER is protocol
    assert driver(protocol.name) is protocol


@every_driver
def test_driver_has_evidence_from_elsewhere(protocol: Driver) -> None:
    captures = load(protocol.name)
    asked = {question.name for question in protocol.questions if question.cadence in (Cadence.FAST, Cadence.SLOW)}
    assert asked <= {each.message for each in captures if each.values}, "a frame for every question of a usual cycle"
    assert len({each.id for each in captures}) == len(captures)


@every_driver
def test_driver_has_an_emulator_profile(protocol: Driver) -> None:
    recipe = make_recipe(protocol.name)
    assert recipe.driver is protocol
    assert recipe.design.device.manufacturer == protocol.manufacturer


def test_unknown_protocol_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="daly"):
        driver("dali")


@every_driver
def test_questions_are_told_apart_by_name_and_command(protocol: Driver) -> None:
    assert len({each.name for each in protocol.questions}) == len(protocol.questions)
    assert len({each.command for each in protocol.questions}) == len(protocol.questions)
    assert all(protocol.question(each.name) is each for each in protocol.questions)


@every_driver
def test_fastest_values_are_asked_last_and_the_structure_first(protocol: Driver) -> None:
    assert protocol.questions[-1] is protocol.probe
    assert protocol.probe.cadence is Cadence.FAST
    assert protocol.structure in (None, protocol.questions[0])


@every_driver
def test_probe_can_be_asked_of_a_device_that_nothing_is_known_of(protocol: Driver) -> None:
    assert protocol.parts(protocol.probe, {}) is not None


# --- both directions


@every_driver
def test_every_request_is_found_and_told_from_replies(protocol: Driver) -> None:
    for question in protocol.questions:
        for host in protocol.hosts(None):
            request = protocol.request(question, host)
            (decoded,) = decode_capture(protocol, request)
            assert (decoded.message, decoded.direction) == (question.name, "request")


@every_driver
def test_every_answer_of_the_emulated_pack_is_read_back(protocol: Driver) -> None:
    truth = emulated(protocol)
    for question in protocol.questions:
        reader = Reader(protocol, host=protocol.hosts(None)[0], known=known(protocol))
        reader.ask(question)
        answer, refused = read(reader, frames_of(protocol, question))
        assert not refused, question.name
        for key in set(answer) & set(truth):
            assert _is_near(answer[key], truth[key]), key


def _is_near(value: Any, truth: Any) -> bool:
    """Whether `value` is `truth` at a resolution that no protocol falls short of."""
    if isinstance(truth, Temperature):
        return value is not None and _is_near(value.value, truth.value)
    if isinstance(truth, tuple):
        return len(value) == len(truth) and all(map(_is_near, value, truth))
    if isinstance(truth, float):
        return bool(value == pytest.approx(truth, abs=0.501))
    return bool(value == truth)


@every_driver
def test_expected_length_is_the_real_length(protocol: Driver) -> None:
    for question in protocol.questions:
        assert protocol.reply_length(question, known(protocol)) == sum(map(len, frames_of(protocol, question)))


@every_driver
def test_nothing_is_complete_before_the_last_byte(protocol: Driver) -> None:
    for question in protocol.questions:
        reader = Reader(protocol, host=protocol.hosts(None)[0], known=known(protocol))
        reader.ask(question)
        answer = b"".join(frames_of(protocol, question))
        done = [reader.receive(bytes((byte,))) for byte in answer]
        assert done == [False] * (len(answer) - 1) + [True], question.name


@every_driver
def test_reader_asks_its_own_host_only(protocol: Driver) -> None:
    for host in protocol.hosts(None):
        assert Reader(protocol, host=host).ask(protocol.probe) == protocol.request(protocol.probe, host)


# --- any bytes


@every_driver
@given(data=st.data())
def test_any_bytes_raise_nothing_but_protocol_errors(protocol: Driver, data: st.DataObject) -> None:
    question = data.draw(st.sampled_from(protocol.questions))
    some = data.draw(st.sampled_from([{}, known(protocol)]))
    stream = data.draw(streams(protocol) | st.binary(max_size=200))
    reader = Reader(protocol, host=protocol.hosts(None)[0], known=some)
    reader.receive(stream)  # before any question
    reader.ask(question)
    answer, _ = read(reader, [stream])
    assert answer == "refused" or isinstance(answer, dict)
    reader.ask(question, again=True)
    read(reader, [stream[::-1], stream])
    responder = Responder(protocol, Variant())
    for heard in responder.receive(stream):
        responder.answer(heard, emulated(protocol))
    for decoded in decode_capture(protocol, stream, some):
        assert isinstance(decoded, DecodedFrame)
        assert (decoded.error is None) == (decoded.message is not None)


@every_driver
@given(data=st.data(), sizes=st.lists(st.integers(0, 30), max_size=40))
def test_chunking_never_changes_an_answer(protocol: Driver, data: st.DataObject, sizes: list[int]) -> None:
    question = data.draw(st.sampled_from(protocol.questions))
    stream = data.draw(streams(protocol)) + b"".join(data.draw(st.permutations(frames_of(protocol, question))))

    def outcome(chunks: list[bytes]) -> tuple[Any, Counter[str], int]:
        reader = Reader(protocol, host=protocol.hosts(None)[0], known=known(protocol))
        reader.ask(question)
        return (*read(reader, chunks), reader.surplus[question.name])

    whole = outcome([stream])
    assert outcome(cut(stream, sizes)) == whole
    assert outcome([bytes((byte,)) for byte in stream]) == whole


@every_driver
@given(data=st.data(), sizes=st.lists(st.integers(0, 30), max_size=40))
def test_chunking_never_changes_what_a_device_understands(
    protocol: Driver, data: st.DataObject, sizes: list[int]
) -> None:
    stream = data.draw(streams(protocol))
    at_once, in_pieces = Responder(protocol, Variant()), Responder(protocol, Variant())
    whole = at_once.receive(stream)
    assert [heard for chunk in cut(stream, sizes) for heard in in_pieces.receive(chunk)] == whole


@every_driver
@given(data=st.data())
def test_an_accepted_answer_is_what_its_frames_say_whatever_lies_between(protocol: Driver, data: st.DataObject) -> None:
    question = data.draw(st.sampled_from(protocol.questions))
    frames = frames_of(protocol, question)
    junk = st.binary(max_size=20).map(lambda each: each.replace(protocol.replies.start[:1], b"\x00"))
    stream = b"".join(data.draw(junk) + frame for frame in frames)
    expected = protocol.decode(question, dict(_placed(protocol, question, frames)), known(protocol))
    reader = Reader(protocol, host=protocol.hosts(None)[0], known=known(protocol))
    reader.ask(question)
    assert read(reader, [stream]) == (expected, Counter())


def _placed(protocol: Driver, question: Question, frames: Iterable[bytes]) -> Iterable[tuple[int, bytes]]:
    host = protocol.hosts(None)[0]
    return ((protocol.place(question, host, frame), frame) for frame in frames)


@every_driver
def test_endless_noise_needs_bounded_memory(protocol: Driver) -> None:
    reader = Reader(protocol, host=protocol.hosts(None)[0], known=known(protocol))
    reader.ask(protocol.probe)
    noise = protocol.replies.start + b"\x01\x02\x03\x08" * 40
    for _ in range(500):
        reader.receive(noise)
        assert len(reader.take_refused()) <= 16 + len(noise)
    with pytest.raises(ProtocolError):
        reader.answer()
