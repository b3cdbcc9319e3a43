"""`smartbms detect`, `read` and `decode`: batteries looked at directly, without a running bridge.

Prints tables where a person looks, plain text where the output is piped, JSON where it is asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import click

from bridge.battery.quantities import BY_KEY
from bridge.bus import list_ports, open_serial
from bridge.clock import SystemClock
from bridge.config import BatterySection
from bridge.documents.reading import reading_document
from bridge.emulator.service import EmulatorService
from bridge.errors import BridgeError, ConfigError
from bridge.finder import Found, NothingFound, examine
from bridge.hub import Hub
from bridge.protocols.driver import DecodedFrame, decode_capture
from bridge.protocols.registry import driver, drivers
from bridge.sources.factory import SourceFactory, describe
from bridge.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.battery.model import BatteryState
    from bridge.interfaces import LinkOpener

_BATTERY = "main"
_READ_SECONDS = 20.0
"""A complete reading may take so long."""
_ANSWER_SECONDS = 5.0
"""A battery that has not answered by then does not."""
_NO_PORTS = "There is no serial port on this machine."
_WHY_NO_PORTS = (
    "A USB cable without data wires, or a missing driver (CH340, FTDI, CP210x), are the usual reasons;"
    " `dmesg | tail` after plugging in tells."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
protocol_option = click.option("--protocol", metavar="NAME", default="auto", help="The BMS's protocol; else tried out.")


@asynccontextmanager
async def _openers() -> AsyncIterator[Mapping[str, LinkOpener]]:
    emulator = EmulatorService(clock=SystemClock(), open_port=open_serial)
    task = asyncio.create_task(emulator.run(), name="emulator")
    try:
        yield {"emulated": emulator}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- detect -------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--port", "ports", metavar="URL", multiple=True, help="Only this port; may be repeated.")
@json_option
def detect(ports: tuple[str, ...], as_json: bool) -> None:
    """Find batteries: port, speed, protocol and address; say what was heard where there is none."""
    asked = list(ports) or list_ports()
    if not asked:
        raise BridgeError(_NO_PORTS, advice=_WHY_NO_PORTS)
    results = asyncio.run(_examine_all(asked))
    found = [each for each in results if isinstance(each, Found)]
    if as_json:
        click.echo(json.dumps({
            "found": [asdict(each) for each in found],
            "nothing": [_nothing_document(each) for each in results if isinstance(each, NothingFound)],
        }))  # fmt: skip
    else:
        for each in results:
            click.echo(_sentence(each))
    if not found:
        click.get_current_context().exit(1)


async def _examine_all(ports: Iterable[str]) -> list[Found | NothingFound]:
    async with _openers() as openers:
        return list(
            await asyncio.gather(*(examine(port, drivers().values(), openers=openers) for port in ports))
        )


def _nothing_document(result: NothingFound) -> dict[str, Any]:
    return {**asdict(result), "sample": result.sample.hex()}


def _sentence(result: Found | NothingFound) -> str:
    if isinstance(result, Found):
        voltage = "" if result.voltage is None else f", {result.voltage:g} V"
        return (
            f"{result.port}: {result.title}{voltage}, at {result.baudrate} baud, address 0x{result.host:02X}\n"
            "For bridge.toml:\n\n"
            f'[[battery]]\nid = "main"\nport = "{result.port}"\nprotocol = "{result.protocol}"'
        )
    heard = f"\n  Heard: {result.sample.hex(' ')}" if result.sample else ""
    return f"{result.port}: {result.reason} {result.advice or ''}".rstrip() + heard


# --- read ---------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--port", metavar="URL", required=True, help="Device path or port URL, such as /dev/ttyUSB0.")
@protocol_option
@json_option
def read(port: str, protocol: str, as_json: bool) -> None:
    """Read the battery on a port once, completely."""
    state, now = asyncio.run(_read(port, protocol))
    document = reading_document(state, now)
    if as_json:
        click.echo(json.dumps(document))
    else:
        _print_rows(_rows(document))


async def _read(port: str, protocol: str) -> tuple[BatteryState, float]:
    """Return one complete reading and the moment of it; raise BridgeError with the reason why there is none."""
    section = BatterySection(id=_BATTERY, port=port, protocol=protocol, poll_interval=0.0)
    clock = SystemClock()
    async with _openers() as openers:
        hub = Hub([describe(section)])
        factory = SourceFactory(openers=openers, deliver=Tracker(hub, clock), clock=clock)
        source = factory.make(section)
        started = clock.monotonic()
        try:
            while not (source.is_complete and hub.latest(_BATTERY).link.state.is_online):
                await source.cycle()
                waited = clock.monotonic() - started
                if waited > (_READ_SECONDS if hub.last_live(_BATTERY) else _ANSWER_SECONDS):
                    break
        finally:
            factory.close()
        state = hub.last_live(_BATTERY)
        if state is not None:
            return state, clock.monotonic()
        chosen = driver(describe(section).protocol)
        result = await examine(port, [chosen], openers=openers)
    if isinstance(result, NothingFound):
        raise BridgeError(result.reason, advice=result.advice)
    raise BridgeError(f"{result.title} answers, but not completely.", advice="The line is disturbed: check the cable.")


def _rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a person wants to read of a reading, as names and texts."""
    rows = [("Battery", document["device"]["manufacturer"] or "")] if document["device"]["manufacturer"] else []
    for key, quantity in BY_KEY.items():
        value = document[key]
        if value is None or value == []:
            text = "none" if value == [] and key in document["ages"] else "unknown"
        elif key == "cell_voltages":
            text = "  ".join("?" if each is None else f"{each:.3f}" for each in value) + " V"
        elif key == "temperatures":
            known = (f"{each['name']} {'?' if each['value'] is None else each['value']}" for each in value)
            text = "  ".join(known) + " °C"
        elif key == "alarms":
            text = ", ".join(f"{each['code']} ({each['level']})" for each in value)
        elif isinstance(value, bool):
            text = "yes" if value else "no"
        else:
            unit = f" {quantity.unit}" if quantity.unit else ""
            text = f"{', '.join(map(str, value)) if isinstance(value, list) else value}{unit}"
        rows.append((quantity.name, text))
    return rows


def _print_rows(rows: list[tuple[str, str]]) -> None:
    """Print a table for a person, `name: text` lines into a pipe."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        for name, text in rows:
            click.echo(f"{name}: {text}")
        return
    table = Table(show_header=False, box=None)
    for name, text in rows:
        table.add_row(f"[bold]{name}[/bold]", text)
    console.print(table)


# --- decode -------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("protocol")
@click.argument("hexadecimal", metavar="HEX…", nargs=-1, required=True)
@json_option
def decode(protocol: str, hexadecimal: tuple[str, ...], as_json: bool) -> None:
    """Decode frames pasted as hex, requests or replies in order; check them and print what they say."""
    chosen = driver(protocol)
    frames = decode_capture(chosen, _bytes("".join(hexadecimal)))
    for frame in frames:
        click.echo(json.dumps(_frame_document(protocol, frame)) if as_json else _frame_text(frame))
    if any(frame.error for frame in frames):
        click.get_current_context().exit(1)


def _bytes(text: str) -> bytes:
    digits = text.lower().replace("0x", "")
    digits = "".join(each for each in digits if each not in " \t\r\n,:;-")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        wrong = next((each for each in digits if each not in "0123456789abcdef"), None)
        reason = f"{wrong!r} is not a hexadecimal digit" if wrong else "a byte has two digits, one is missing"
        raise ConfigError(f"This is not hexadecimal: {reason}.", advice="Write it as a5 01 90 08 …") from None


def _frame_document(protocol: str, frame: DecodedFrame) -> dict[str, Any]:
    document: dict[str, Any] = {
        "protocol": protocol,
        "message": frame.message,
        "direction": frame.direction,
        "ok": frame.error is None,
        "values": {key: _plain(value) for key, value in frame.values.items()},
    }
    return document if frame.error is None else {**document, "error": frame.error}


def _frame_text(frame: DecodedFrame) -> str:
    if frame.error is not None:
        return f"not valid: {frame.error}"
    lines = [f"{frame.message} {frame.direction}"]
    lines += [f"  {key}: {json.dumps(_plain(value), ensure_ascii=False)}" for key, value in frame.values.items()]
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {key: each for key, each in asdict(value).items() if key != "raw"}
    return value
