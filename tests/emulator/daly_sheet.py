"""A second, plain reading of Daly's protocol sheet (UART/485 communications protocol V1.2), for judging the emulator.

Written by hand from the document and from captures of fielded devices; it shares no line with `bridge.protocols`.
"""

from __future__ import annotations

import struct
from typing import Any


def request(command: int, host: int = 0x40, fill: int = 0) -> bytes:
    """Return a request: start, host address, command, length, eight bytes that mean nothing, checksum."""
    body = bytes([0xA5, host, command, 8]) + bytes([fill]) * 8
    return body + bytes([sum(body) % 256])


def frames(data: bytes, command: int, board: int = 1) -> list[bytes]:
    """Return the eight data bytes of each frame of a faultless reply; AssertionError where it is not one."""
    assert len(data) % 13 == 0, data.hex(" ")
    found = []
    for at in range(0, len(data), 13):
        frame = data[at : at + 13]
        assert frame[:4] == bytes([0xA5, board, command, 8]), frame.hex(" ")
        assert frame[12] == sum(frame[:12]) % 256, frame.hex(" ")
        found.append(frame[4:12])
    return found


def length(command: int, cells: int = 16) -> int:
    """Return the bytes of a reply from a device with up to seven sensors."""
    return 13 * {0x95: -(-cells // 3), 0x57: 5}.get(command, 1)


def decode(command: int, data: bytes, cells: int = 16, sensors: int = 2) -> dict[str, Any]:
    """Return what a reply says, by our keys."""
    rows = frames(data, command)
    first = rows[0]
    values: dict[str, Any] = {}
    match command:
        case 0x90:
            voltage, _, current, soc = struct.unpack(">HHHH", first)
            values = {"voltage": voltage / 10, "current": (current - 30000) / 10, "soc": soc / 10}
        case 0x91:
            high, high_number, low, low_number = struct.unpack(">HBHB2x", first)
            values = {"cell_voltage_max": high / 1000, "cell_max_number": high_number}
            values |= {"cell_voltage_min": low / 1000, "cell_min_number": low_number}
        case 0x92:
            values = {"temperature_max": first[0] - 40, "temperature_max_sensor": first[1]}
            values |= {"temperature_min": first[2] - 40, "temperature_min_sensor": first[3]}
        case 0x93:
            state, charge, discharge, life, capacity = struct.unpack(">BBBBI", first)
            values = {"charging_state": ("idle", "charging", "discharging")[state], "heartbeat": life}
            values |= {"charge_enabled": charge == 1, "discharge_enabled": discharge == 1}
            values |= {"remaining_capacity": capacity / 1000}
        case 0x94:
            values = {"cell_count": first[0], "temperature_count": first[1], "cycles": first[5] * 256 + first[6]}
            values |= {"charger_connected": first[2] == 1, "load_connected": first[3] == 1}
        case 0x95:
            assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
            values = {"cell_voltages": [mv / 1000 for row in rows for mv in struct.unpack(">3H", row[1:7])][:cells]}
        case 0x96:
            values = {"temperatures": [raw - 40 for row in rows for raw in row[1:]][:sensors]}
        case 0x97:
            values = {"balancing_cells": [bit + 1 for bit in range(48) if first[bit // 8] >> bit % 8 & 1]}
        case 0x50:
            values = {"rated_capacity": int.from_bytes(first[:4], "big") / 1000}
            values |= {"nominal_cell_voltage": int.from_bytes(first[4:], "big") / 1000}
    assert values, f"0x{command:02X} is not in this sheet"
    return values
