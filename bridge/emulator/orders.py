"""What a person tells an emulated battery while it runs, one line each.

    fault corrupt=0.02        fault silence for 30        fault none
    current -20               current day                 soc 50               temperature -5

Knows nothing of where the lines come from.
"""

from __future__ import annotations

from bridge.emulator.battery import EmulatedBattery
from bridge.emulator.faults import parse_fault
from bridge.emulator.scenario import NO_FAULTS
from bridge.errors import ConfigError

ORDERS = "fault NAME[=VALUE] [for SECONDS], fault none, current AMPERES, current day, soc PERCENT, temperature CELSIUS"
HOUSEHOLD = "day"
"""As a current: follow the household's day again."""
_RANGES = {"current": (-5000.0, 5000.0), "soc": (0.0, 100.0), "temperature": (-60.0, 150.0)}


def carry_out(battery: EmulatedBattery, line: str) -> None:
    """Do what `line` says; raise ConfigError with one sentence where it says nothing that can be done."""
    match line.split():
        case []:
            pass
        case ["fault", name] if name == NO_FAULTS:
            battery.faults.clear()
        case ["fault", fault]:
            battery.faults.apply(parse_fault(fault))
        case ["fault", fault, "for", seconds]:
            battery.faults.apply(parse_fault(fault, seconds=_number(seconds, 0.0, 3.2e7)))
        case ["current", text] if text == HOUSEHOLD:
            battery.set_current(None)
        case ["current", text]:
            battery.set_current(_number(text, *_RANGES["current"]))
        case ["soc", text]:
            battery.set_soc(_number(text, *_RANGES["soc"]))
        case ["temperature", text]:
            battery.set_temperature(_number(text, *_RANGES["temperature"]))
        case _:
            raise ConfigError(f'"{line.strip()}" is no order.', advice=f"There are: {ORDERS}.")


def _number(text: str, low: float, high: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise ConfigError(f'"{text}" is no number from {low:g} to {high:g}.')
    return number
