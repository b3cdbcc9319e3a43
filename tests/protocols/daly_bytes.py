"""Daly frames written by hand: this builder shares nothing with the code under test."""

from __future__ import annotations

import struct
from collections.abc import Iterable


def frame(command: int, data: bytes | str, address: int = 1) -> bytes:
    """Return a reply of board `address` (or, from 0x20 on, a request of that host) with eight bytes of data."""
    payload = bytes.fromhex(data) if isinstance(data, str) else data
    assert len(payload) == 8, payload.hex(" ")
    body = bytes((0xA5, address, command, 8)) + payload
    return body + bytes((sum(body) % 256,))


def cells(millivolts: Iterable[int], *, first: int = 1, rest: bytes = b"\x00", address: int = 1) -> list[bytes]:
    """Return the frames of 0x95, three cells each; frame numbers begin at `first`, `rest` is the unused last byte."""
    row = list(millivolts)
    assert len(row) % 3 == 0, row
    return [
        frame(0x95, struct.pack(">B3H", first + at // 3, *row[at : at + 3]) + rest, address)
        for at in range(0, len(row), 3)
    ]


def temperatures(raw: Iterable[int], *, first: int = 1, address: int = 1) -> list[bytes]:
    """Return the frames of 0x96, seven sensors each, from raw values (°C + 40)."""
    row = list(raw)
    assert len(row) % 7 == 0, row
    return [frame(0x96, bytes((first + at // 7, *row[at : at + 7])), address) for at in range(0, len(row), 7)]
