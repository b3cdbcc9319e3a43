"""The classic Daly UART and RS485 protocol ("A5").

Sources: Daly RS485/UART communication protocol V1.0 (2019) and V1.2 (2020) for 0x90–0x98; the 0x50–0x61 reads are
not in the vendor's documents and come from open projects that were checked against each other (venus-os
dbus-serialbattery, Daly2MQTT, batmon-ha, a diysolarforum collection of the same payloads on CAN), as do 0x62 and 0x63.
0x5B–0x5E are known by name at most, so nothing here reads them.

Facts that the documents do not tell, all from captures of fielded devices: frame numbers count from 1 (the documents
say 0); bytes that a reply does not use repeat the reply before it; the last group of three cells carries junk beyond
the cell count; some firmware pads the answers to 0x95 and 0x96 to 16 and 3 frames; a sleeping BMS sends the request
back. No document tells the sign of the current: `current` is positive for raw values above 30000 here, and whoever
asks learns from `charging_state` whether that is charging.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any

from bridge.battery.model import Alarm, AlarmLevel, Temperature
from bridge.errors import ConfigError, FrameError, UnexpectedReply
from bridge.interfaces import LinkOptions
from bridge.protocols.driver import SLEEP_ECHO, Cadence, Driver, Heard, Question, Variant
from bridge.protocols.wire import (
    U8,
    U32,
    BitNumbers,
    Checksum,
    Choice,
    Flag,
    Framer,
    Layout,
    Number,
    Numbers,
    Text,
    sum8,
)

START = 0xA5
PAYLOAD = 8
"""Bytes of data in every frame."""
FRAME = 4 + PAYLOAD + 1
HOST_PC, HOST_BLUETOOTH, HOST_GPRS = 0x40, 0x80, 0x20
"""Who asks, as V1.2 numbers them; 0x40 + n asks board n + 1."""
BOARDS = 16
MAX_CELLS, MAX_SENSORS = 48, 21
CELLS_A_FRAME, SENSORS_A_FRAME = 3, 7
PADDED_CELL_FRAMES, PADDED_SENSOR_FRAMES = 16, 3
TEXT_IN_FRAME = 7
NOT_FITTED = (0x00, 0xFF)
"""Raw temperatures of a sensor that is not there: older devices tell −40 °C, newer ones fill with 0xFF."""

_CHARGING = {0: "idle", 1: "charging", 2: "discharging"}

# --- alarms -------------------------------------------------------------------------------------------------------

_WARNING, _PROTECTION, _FAULT = AlarmLevel.WARNING, AlarmLevel.PROTECTION, AlarmLevel.FAULT
_TWO_LEVELS = (
    "cell_overvoltage", "cell_undervoltage", "pack_overvoltage", "pack_undervoltage",
    "charge_overtemperature", "charge_undertemperature", "discharge_overtemperature", "discharge_undertemperature",
    "charge_overcurrent", "discharge_overcurrent", "soc_high", "soc_low",
    "cell_imbalance", "temperature_imbalance",
)  # fmt: skip
"""Bytes 0 to 3 in the order of their bits: each has a first level (warning) and a second (protection)."""
_ONE_LEVEL = {
    32: ("mosfet_overtemperature", _PROTECTION),  # of the charge MOSFET
    33: ("mosfet_overtemperature", _PROTECTION),  # of the discharge MOSFET
    34: ("mosfet_temperature_sensor_failure", _FAULT),
    35: ("mosfet_temperature_sensor_failure", _FAULT),
    36: ("charge_mosfet_failure", _FAULT),  # stuck on
    37: ("discharge_mosfet_failure", _FAULT),
    38: ("charge_mosfet_failure", _FAULT),  # does not close
    39: ("discharge_mosfet_failure", _FAULT),
    40: ("hardware_failure", _FAULT),  # measuring chip (AFE)
    41: ("cell_wire_failure", _FAULT),  # a sense wire is off
    42: ("cell_temperature_sensor_failure", _FAULT),
    43: ("memory_failure", _FAULT),  # EEPROM
    44: ("clock_failure", _FAULT),
    45: ("precharge_failure", _FAULT),
    46: ("communication_failure", _FAULT),  # with the vehicle
    47: ("internal_communication_failure", _FAULT),
    48: ("current_sensor_failure", _FAULT),
    49: ("pack_voltage_sensor_failure", _FAULT),
    50: ("short_circuit", _PROTECTION),
    51: ("low_voltage_charge_forbidden", _PROTECTION),
}
ALARMS: Mapping[int, tuple[str, AlarmLevel]] = {
    **{2 * index: (code, _WARNING) for index, code in enumerate(_TWO_LEVELS)},
    **{2 * index + 1: (code, _PROTECTION) for index, code in enumerate(_TWO_LEVELS)},
    **_ONE_LEVEL,
}
"""Bit number (8 × byte + bit) of 0x98 → code and level."""
FAULT_CODE = 256
"""`Alarm.raw` of a fault code (byte 7 of 0x98) is this plus the code."""


@dataclass(frozen=True, slots=True)
class AlarmBits:
    """The alarm bits and the fault code of 0x98; bits that no document names are left out."""

    name: str = "alarms"

    def decode(self, payload: bytes) -> tuple[Alarm, ...]:
        """Return the active alarms in the order of their bits."""
        bits = (number - 1 for number in BitNumbers("", 0, 7).decode(payload))
        alarms = [Alarm(code=ALARMS[bit][0], level=ALARMS[bit][1], raw=bit) for bit in bits if bit in ALARMS]
        if payload[7]:
            alarms.append(Alarm(code="hardware_failure", level=_FAULT, raw=FAULT_CODE + payload[7]))
        return tuple(alarms)

    def encode(self, value: tuple[Alarm, ...], payload: bytearray) -> None:
        """Set the bit of each alarm: that of its `raw` number, else the first with its code and level."""
        bits: set[int] = set()
        payload[7] = 0
        for alarm in value:
            if alarm.raw is not None and alarm.raw > FAULT_CODE:
                payload[7] = alarm.raw - FAULT_CODE
            elif alarm.raw is not None and alarm.raw in ALARMS:
                bits.add(alarm.raw)
            else:
                bits.update([bit for bit, meant in ALARMS.items() if meant == (alarm.code, alarm.level)][:1])
        BitNumbers("", 0, 7).encode([bit + 1 for bit in bits], payload)


# --- questions and what the 8 data bytes of their answers say -------------------------------------------------------


def _question(name: str, cadence: Cadence, command: int, title: str) -> Question:
    return Question(name=name, cadence=cadence, command=command, title=f"0x{command:02X} ({title})")


STRUCTURE = _question("structure", Cadence.RARE, 0x94, "status information 1")
CELL_VOLTAGES = _question("cell_voltages", Cadence.FAST, 0x95, "cell voltages 1–48")
TEMPERATURES = _question("temperatures", Cadence.SLOW, 0x96, "cell temperatures 1–16")
SERIAL = _question("serial", Cadence.RARE, 0x57, "battery code")
SOFTWARE = _question("software", Cadence.ON_REQUEST, 0x62, "software version")
HARDWARE = _question("hardware", Cadence.ON_REQUEST, 0x63, "hardware version")
PACK = _question("pack", Cadence.FAST, 0x90, "voltage, current and state of charge")

QUESTIONS = (
    STRUCTURE,
    _question("temperature_extremes", Cadence.SLOW, 0x92, "highest and lowest temperature"),
    TEMPERATURES,
    _question("balancing_cells", Cadence.SLOW, 0x97, "cell balance state"),
    _question("alarms", Cadence.SLOW, 0x98, "battery failure state"),
    _question("rated", Cadence.RARE, 0x50, "rated capacity and cell voltage"),
    _question("firmware", Cadence.RARE, 0x54, "firmware index"),
    SERIAL,
    _question("boards", Cadence.ON_REQUEST, 0x51, "acquisition boards"),
    _question("totals", Cadence.ON_REQUEST, 0x52, "cumulative charge and discharge"),
    _question("production", Cadence.ON_REQUEST, 0x53, "type, production date and sleep time"),
    _question("cell_voltage_limits", Cadence.ON_REQUEST, 0x59, "cell voltage thresholds"),
    _question("pack_voltage_limits", Cadence.ON_REQUEST, 0x5A, "pack voltage thresholds"),
    _question("balancing_limits", Cadence.ON_REQUEST, 0x5F, "balance thresholds"),
    _question("short_circuit_limit", Cadence.ON_REQUEST, 0x60, "short-circuit current and shunt"),
    _question("clock", Cadence.ON_REQUEST, 0x61, "clock and state of charge"),
    SOFTWARE,
    HARDWARE,
    CELL_VOLTAGES,
    _question("cell_extremes", Cadence.SLOW, 0x91, "highest and lowest cell voltage"),
    _question("status", Cadence.FAST, 0x93, "MOSFET state and remaining capacity"),
    PACK,
)

_LAYOUTS: Mapping[int, Layout] = {
    command: Layout(PAYLOAD, fields)
    for command, fields in {
        0x90: (
            Number("voltage", 0, divisor=10),
            Number("gathered_voltage", 2, divisor=10),
            Number("current", 4, divisor=10, bias=-30000),
            Number("soc", 6, divisor=10),
        ),
        0x91: (
            Number("cell_voltage_max", 0, divisor=1000),
            Number("cell_max_number", 2, U8),
            Number("cell_voltage_min", 3, divisor=1000),
            Number("cell_min_number", 5, U8),
        ),
        0x92: (
            Number("temperature_max", 0, U8, bias=-40, unavailable=NOT_FITTED),
            Number("temperature_max_sensor", 1, U8),
            Number("temperature_min", 2, U8, bias=-40, unavailable=NOT_FITTED),
            Number("temperature_min_sensor", 3, U8),
        ),
        0x93: (
            Choice("charging_state", 0, _CHARGING),
            Flag("charge_enabled", 1),
            Flag("discharge_enabled", 2),
            Number("heartbeat", 3, U8),
            Number("remaining_capacity", 4, U32, divisor=1000),
        ),
        0x94: (
            Number("cell_count", 0, U8),
            Number("temperature_count", 1, U8),
            Flag("charger_connected", 2),
            Flag("load_connected", 3),
            Number("digital_io", 4, U8),
            Number("cycles", 5),  # byte 7: the MOSFETs' temperature on newer devices, stale on older ones
        ),
        0x95: (
            Number("frame_number", 0, U8),
            Numbers("cell_voltages", Number("", 1, divisor=1000), CELLS_A_FRAME),
        ),
        0x96: (
            Number("frame_number", 0, U8),
            Numbers("temperatures", Number("", 1, U8, bias=-40, unavailable=NOT_FITTED), SENSORS_A_FRAME),
        ),
        0x97: (BitNumbers("balancing_cells", 0, 6),),
        0x98: (AlarmBits(),),
        0x50: (
            Number("rated_capacity", 0, U32, divisor=1000),
            Number("nominal_cell_voltage", 4, U32, divisor=1000),
        ),
        0x51: (
            Number("boards", 0, U8),
            Numbers("board_cells", Number("", 1, U8), 3),
            Numbers("board_sensors", Number("", 4, U8), 3),
        ),
        0x52: (Number("charged_total", 0, U32), Number("discharged_total", 4, U32)),
        0x53: (
            Number("operation_mode", 0, U8),
            Number("battery_type", 1, U8),
            Numbers("production_date", Number("", 2, U8), 3),
            Number("sleep_after", 5, unavailable=(0xFFFF,)),
        ),
        0x54: (Text("device_firmware", 0, PAYLOAD),),
        0x57: (Number("frame_number", 0, U8), Text("device_serial", 1, TEXT_IN_FRAME)),
        0x59: (
            Numbers("cell_overvoltage_limits", Number("", 0, divisor=1000), 2),
            Numbers("cell_undervoltage_limits", Number("", 4, divisor=1000), 2),
        ),
        0x5A: (
            Numbers("pack_overvoltage_limits", Number("", 0, divisor=10), 2),
            Numbers("pack_undervoltage_limits", Number("", 4, divisor=10), 2),
        ),
        0x5F: (Number("balance_start", 0, divisor=1000), Number("balance_difference", 2, divisor=1000)),
        0x60: (Number("short_circuit_current", 0), Number("shunt", 2)),
        0x61: (Numbers("clock", Number("", 0, U8), 6), Number("soc", 6, divisor=10)),
        0x62: (Number("frame_number", 0, U8), Text("software_version", 1, TEXT_IN_FRAME)),
        0x63: (Number("frame_number", 0, U8), Text("device_hardware", 1, TEXT_IN_FRAME)),
    }.items()
}  # fmt: skip

_TEXTS = {
    SERIAL.command: ("device_serial", 5), SOFTWARE.command: ("software_version", 2),
    HARDWARE.command: ("device_hardware", 2),
}  # fmt: skip
"""Commands whose answer is one text → its name and the frames that it takes."""
_NUMBERED = {
    CELL_VOLTAGES.command: CELLS_A_FRAME, TEMPERATURES.command: SENSORS_A_FRAME, **dict.fromkeys(_TEXTS, TEXT_IN_FRAME),
}  # fmt: skip
"""Commands whose answer is several numbered frames → values or characters a frame."""
_QUESTION_OF = {each.command: each for each in QUESTIONS}
_DEFAULTS: Mapping[str, Any] = {
    "gathered_voltage": 0.0, "digital_io": 0, "operation_mode": 0, "battery_type": 0,
    "software_version": None, "device_hardware": None,
}  # fmt: skip
"""What a device says where a battery has no such value."""


def _frame(address: int, command: int, payload: bytes) -> bytes:
    frame = bytearray((START, address, command, PAYLOAD)) + payload + b"\x00"
    return _CHECKSUM.seal(frame)


def _length(header: bytes) -> int:
    return FRAME if header[3] == PAYLOAD else 0


_CHECKSUM = Checksum(compute=sum8, wire=U8, from_end=1)
_FRAMER = Framer(start=bytes((START,)), header=4, length=_length, checksum=_CHECKSUM, maximum=FRAME)


def _origin(parts: Mapping[int, bytes]) -> int:
    """Return the number of the first frame: 1 on fielded devices, 0 in the vendor's documents."""
    return 0 if 0 in parts else 1


class Daly(Driver):
    """The A5 protocol; boards 1–16 are addresses."""

    name = "daly"
    title = "Daly (A5)"
    manufacturer = "Daly"
    line = LinkOptions(baudrate=9600)
    pause = 0.02
    requests = _FRAMER
    replies = _FRAMER
    questions = QUESTIONS
    structure = STRUCTURE
    probe = PACK
    structure_keys = frozenset({"cell_count", "temperature_count"})
    sign_is_open = True
    variant_options: Mapping[str, Any] = {
        "frame_origin": 1, "padded": False, "stale_filler": True, "current_sign": "normal", "unsupported": (),
    }  # fmt: skip
    """`frame_origin` 1 or 0; `padded`: 16 frames for 0x95, 3 for 0x96; `stale_filler`: unused bytes repeat the reply
    before; `current_sign`: `normal` (raw above 30000 is charging) or `inverted`; `unsupported`: commands that get no
    answer."""

    def hosts(self, address: int | None) -> tuple[int, ...]:
        """Return 0x40 + board − 1; for the first board 0x80 too, which some UART units want."""
        board = address or 1
        if board > BOARDS:
            raise ConfigError(f"There is no Daly board {board}.", advice=f"Daly boards are numbered 1 to {BOARDS}.")
        return (HOST_PC, HOST_BLUETOOTH) if board == 1 else (HOST_PC + board - 1,)

    def request(self, question: Question, host: int) -> bytes:
        """Return the request; its data bytes mean nothing to the BMS."""
        return _frame(host, question.command, bytes(PAYLOAD))

    def parts(self, question: Question, known: Mapping[str, Any]) -> int | None:
        """Return the number of frames; cells and sensors must be known from 0x94 for 0x95 and 0x96."""
        if question.command in _TEXTS:
            return _TEXTS[question.command][1]
        if question is CELL_VOLTAGES or question is TEMPERATURES:
            count = known.get("cell_count" if question is CELL_VOLTAGES else "temperature_count")
            return None if count is None else -(-count // _NUMBERED[question.command])
        return 1

    def place(self, question: Question, host: int, frame: bytes) -> int:
        """Return the frame's own number, 0 where the answer is a single frame. `host` 0 takes any address."""
        address, command = frame[1], frame[2]
        if host:
            if address == host:
                raise UnexpectedReply(
                    "The request came back: the BMS sleeps, or the adapter hears itself.", cause=SLEEP_ECHO, frame=frame
                )
            if address != self._reply_address(host):
                raise UnexpectedReply(f"Board {address} answered instead.", cause="address", frame=frame)
        if command != question.command:
            raise UnexpectedReply(f"0x{command:02X} came instead of {question.title}.", cause="command", frame=frame)
        if command not in _NUMBERED:
            return 0
        number = frame[4]
        if number > PADDED_CELL_FRAMES:
            raise FrameError(f"There is no frame {number} in {question.title}.", cause="number", frame=frame)
        return number

    def is_complete(self, question: Question, parts: Mapping[int, bytes], known: Mapping[str, Any]) -> bool:
        """Whether every frame of the answer is there."""
        if question.command not in _NUMBERED:
            return bool(parts)
        count = self.parts(question, known)
        origin = _origin(parts)
        return count is not None and all(number in parts for number in range(origin, origin + count))

    def decode(self, question: Question, parts: Mapping[int, bytes], known: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the frames say; cells and sensors that no frame told are None."""
        layout = _LAYOUTS[question.command]
        if question.command not in _NUMBERED:
            values = layout.decode(parts[0][4:-1])
            return {**values, **self._implied(question, values, parts[0], known)}
        origin = _origin(parts)
        if question.command in _TEXTS:
            return self._joined(*_TEXTS[question.command], {number - origin: frame for number, frame in parts.items()})
        rows = {number - origin: layout.decode(frame[4:-1]) for number, frame in parts.items()}
        key = question.name
        count = known.get("cell_count" if question is CELL_VOLTAGES else "temperature_count")
        empty = (None,) * _NUMBERED[question.command]
        frames = max(rows) + 1 if count is None else -(-count // len(empty))
        row = tuple(chain.from_iterable(rows[i][key] if i in rows else empty for i in range(frames)))[:count]
        if question is CELL_VOLTAGES:
            return {key: row}
        return {key: tuple(Temperature(name=f"sensor_{n}", value=value) for n, value in enumerate(row, 1))}

    def understand(self, frame: bytes, address: int) -> Heard | None:
        """Return the question; a host from 0x20 to 0x3F or from 0x50 on speaks to the first board."""
        host, command = frame[1], frame[2]
        if command not in _QUESTION_OF or host < HOST_GPRS or self._reply_address(host) != address:
            return None
        return Heard(question=_QUESTION_OF[command], host=host, frame=frame)

    def answer(self, heard: Heard, values: Mapping[str, Any], variant: Variant, previous: bytes) -> list[bytes]:
        """Return the reply frames as a fielded device would send them."""
        options = {**self.variant_options, **variant.options}
        command = heard.question.command
        if command in options["unsupported"]:
            return []
        values = {**_DEFAULTS, **values}
        if options["current_sign"] == "inverted" and command == PACK.command:
            values["current"] = -values["current"]
        frames = []
        for row in self._rows(heard.question, values, options):
            filler = previous[4:-1] if options["stale_filler"] else b""
            previous = _frame(variant.address, command, _LAYOUTS[command].encode(row, filler))
            frames.append(previous)
        return frames

    def identify(self, frame: bytes) -> tuple[Question, bool]:
        """Tell requests by their host address (0x20 and above)."""
        question = _QUESTION_OF.get(frame[2])
        if question is None:
            raise UnexpectedReply(f"Command 0x{frame[2]:02X} is not known.", cause="command", frame=frame)
        return question, frame[1] < HOST_GPRS

    @staticmethod
    def _reply_address(host: int) -> int:
        return host - HOST_PC + 1 if HOST_PC <= host < HOST_PC + BOARDS else 1

    @staticmethod
    def _joined(name: str, count: int, frames: Mapping[int, bytes]) -> dict[str, Any]:
        """Return the text that begins in frame 0, as far as its frames are there."""
        there = takewhile(frames.__contains__, range(count))
        text = b"".join(frames[index][5:-1] for index in there)
        return {name: Text(name, 0, len(text)).decode(text)}

    @staticmethod
    def _implied(
        question: Question, values: Mapping[str, Any], frame: bytes, known: Mapping[str, Any]
    ) -> dict[str, Any]:
        match question.name:
            case "balancing_cells":
                cells, count = values["balancing_cells"], known.get("cell_count")
                if cells and count and cells[-1] > count >= frame[5] > 0:  # newer devices (R24TK) name the one cell
                    cells = (frame[5],)
                return {"balancing": bool(cells), "balancing_cells": cells}
            case "alarms":
                return {"alarms_known": True}
            case "rated":
                return {"full_capacity": values["rated_capacity"] or None}
            case _:
                return {}

    @staticmethod
    def _rows(question: Question, values: Mapping[str, Any], options: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the values of each frame of an answer, first frame first."""
        command, key = question.command, question.name
        if command not in _NUMBERED:
            return [values]
        size, origin = _NUMBERED[command], options["frame_origin"]
        if command in _TEXTS:
            name, count = _TEXTS[command]
            text = values[name] or ""
            pieces = (text[index * size : (index + 1) * size] for index in range(count))
            return [{"frame_number": number, name: piece} for number, piece in enumerate(pieces, origin)]
        row = [each.value if isinstance(each, Temperature) else each for each in values[key]]
        padded = PADDED_CELL_FRAMES if question is CELL_VOLTAGES else PADDED_SENSOR_FRAMES
        frames = padded if options["padded"] else -(-len(row) // size)
        if not options["padded"] and row:
            row += row[:1] * (frames * size - len(row))  # junk beyond the last cell: fielded devices repeat real values
        empty = 0.0 if question is CELL_VOLTAGES else None
        row += [empty] * (frames * size - len(row))
        return [
            {"frame_number": index + origin, key: row[index * size : (index + 1) * size]} for index in range(frames)
        ]


DRIVER = Daly()
