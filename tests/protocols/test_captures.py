"""Every frame that somebody else captured or published says what it is known to say, whichever way it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from bridge.errors import ProtocolError
from bridge.protocols.driver import Reader, decode_capture
from bridge.protocols.registry import driver, drivers
from tests.protocols.captures import Capture, load

CAPTURES = [capture for name in drivers() for capture in load(name)]
GOOD = [each for each in CAPTURES if each.refused is None]
REFUSED = [each for each in CAPTURES if each.refused is not None]

captured = pytest.mark.parametrize("capture", GOOD, ids=lambda each: each.id)
refused = pytest.mark.parametrize("capture", REFUSED, ids=lambda each: each.id)
chunked = pytest.mark.parametrize("size", [1, 5, 13, 4096], ids=lambda size: f"chunks of {size}")


def ask(capture: Capture) -> Reader:
    """Put the capture's question with its own request; the request is evidence too."""
    protocol = driver(capture.protocol)
    question = protocol.question(capture.message)
    host = next(each for each in protocol.hosts(None) if protocol.request(question, each) == capture.request)
    reader = Reader(protocol, host=host, known=capture.known)
    assert reader.ask(question) == capture.request
    return reader


def read(capture: Capture, size: int) -> dict[str, Any]:
    reader = ask(capture)
    for at in range(0, len(capture.reply), size):
        reader.receive(capture.reply[at : at + size])
    return reader.answer()


@captured
@chunked
def test_reader_understands_captured_answer(capture: Capture, size: int) -> None:
    assert capture.says(read(capture, size))


@captured
def test_decode_understands_captured_answer(capture: Capture) -> None:
    decoded = decode_capture(driver(capture.protocol), capture.reply, capture.known)
    assert capture.says(newest(each.values for each in decoded if each.message == capture.message))


def newest(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the parts of an answer tell together; a later one counts more, and None not at all."""
    told: dict[str, Any] = {}
    for values in parts:
        for key, value in values.items():
            row = told.get(key)
            if isinstance(value, tuple) and isinstance(row, tuple) and len(row) == len(value):
                told[key] = tuple(old if new is None else new for old, new in zip(row, value, strict=True))
            else:
                told[key] = value
    return told


@captured
def test_decode_tells_the_request_from_the_reply(capture: Capture) -> None:
    request, *_ = decode_capture(driver(capture.protocol), capture.request + capture.reply, capture.known)
    assert (request.message, request.direction, request.values) == (capture.message, "request", {})


@refused
@chunked
def test_reader_refuses_with_the_right_cause(capture: Capture, size: int) -> None:
    reader = ask(capture)
    for at in range(0, len(capture.reply), size):
        reader.receive(capture.reply[at : at + size])
    with pytest.raises(ProtocolError) as refusal:
        reader.answer()
    assert capture.refused in {refusal.value.cause, *(each.cause for each in reader.take_refused())}


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda each: each.id)
def test_every_capture_names_its_source_and_says_something(capture: Capture) -> None:
    assert len(capture.source) > 10
    assert capture.values or capture.unknown or capture.refused


def test_cells_of_a_captured_pack_sum_up_to_its_voltage() -> None:
    by_id = {each.id: each for each in CAPTURES}
    for pack in ("diy21898", "r24ts"):
        cells = read(by_id[f"daly95-{pack}"], 13)["cell_voltages"]
        assert sum(cells) == pytest.approx(read(by_id[f"daly90-{pack}"], 13)["voltage"], abs=0.1), pack


def test_captured_extremes_name_cells_of_the_captured_row() -> None:
    by_id = {each.id: each for each in CAPTURES}
    for pack in ("diy21898", "r24ts", "circuitpython"):
        cells = read(by_id[f"daly95-{pack}"], 13)["cell_voltages"]
        extremes = read(by_id[f"daly91-{pack}"], 13)
        assert cells[extremes["cell_max_number"] - 1] == extremes["cell_voltage_max"] == max(cells), pack
        assert cells[extremes["cell_min_number"] - 1] == extremes["cell_voltage_min"] == min(cells), pack


def test_broken_frame_of_a_captured_burst_costs_only_itself() -> None:
    capture = next(each for each in REFUSED if each.id == "daly95-louisvdw165")
    reader = ask(capture)
    reader.receive(capture.reply)
    with pytest.raises(ProtocolError):
        reader.answer()
    question = reader.driver.question("cell_voltages")
    reader.ask(question, again=True)
    reader.receive(bytes.fromhex("a5019508050d300d340d339096"))  # frame 5 whole: 3.376, 3.380 and 3.379 V
    assert reader.answer()["cell_voltages"] == (
        3.369, 3.379, 3.378, 3.375, 3.374, 3.379, 3.379, 3.379, 3.379, 3.379, 3.378, 3.375, 3.376, 3.380, 3.379, 3.378,
    )  # fmt: skip
