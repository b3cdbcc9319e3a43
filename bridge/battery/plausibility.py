"""Decides whether what an intact frame says can be believed.

An 8-bit checksum lets about 41 of a million noisy frames through, so intact is not enough. Three questions are put to
a block: is each value possible for this chemistry; does it agree with what other blocks say; and, while the line is
noisy, has it jumped without a second frame that shows the same. Pure: times are parameters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.battery.model import Block, Temperature

NOISY_SECONDS = 10.0
"""A line counts as noisy for so long after a refused frame."""

CELL_RANGE = {"auto": (0.5, 5.0), "lfp": (1.5, 4.2), "nmc": (2.0, 4.6), "lto": (1.0, 3.2)}
"""Plausible cell voltage by chemistry, V."""
RANGES: Mapping[str, tuple[float, float]] = {
    "current": (-2990.0, 2990.0),
    "soc": (0.0, 100.0),
    "soh": (0.0, 100.0),
    "remaining_capacity": (0.0, 20000.0),
    "full_capacity": (0.1, 20000.0),
    "rated_capacity": (0.0, 20000.0),
    "nominal_cell_voltage": (0.0, 5.0),
    "cell_count": (1, 48),
    "temperature_count": (0, 32),
    "cycles": (0, 20000),
    "temperature_max": (-40.0, 150.0),
    "temperature_min": (-40.0, 150.0),
}
"""Possible values; a Daly that has nothing to say sends −3000 A."""
TEMPERATURE_RANGE = (-40.0, 150.0)
"""°C."""

SUM_TOLERANCE, SUM_TOLERANCE_RELATIVE = 0.2, 0.005
"""V, and share of the pack voltage, by which the sum of the cells may differ from it."""
EXTREMES_TOLERANCE = 0.005
"""V by which the extremes of the cells may differ from the BMS's own."""
RESTING_CHANGE = 5.0
"""A between two readings above which the extremes of the cells are asked for again, but never rejected."""
COMPARABLE_SECONDS = 1.0
"""Blocks further apart are not compared: the load may have changed between them."""

JUMPS: Mapping[str, float] = {
    "current": 1.0,
    "soc": 0.5,
    "soh": 0.5,
    "remaining_capacity": 0.05,
    "cell_voltage_min": 0.005,
    "cell_voltage_max": 0.005,
    "temperature_max": 1.0,
    "temperature_min": 1.0,
}
"""Change that needs no second frame on a noisy line; the unit of the quantity."""
VOLTAGE_JUMP = 0.002
"""The same for the pack voltage, as a share of it."""
CELL_JUMP = 0.005
"""The same for each cell, V."""
TEMPERATURE_JUMP = 1.0
"""The same for each sensor, °C."""
FREE = frozenset({"heartbeat", "gathered_voltage"})
"""Values that may be anything: nobody publishes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Why a block is not believed (yet)."""

    cause: str
    """The short word under which it is counted: `range`, `sum`, `extremes`, `jump`."""
    reason: str
    """One sentence with the values."""
    suspects: tuple[str, ...] = ()
    """Other blocks that may be the wrong ones."""


class Judge:
    """Believes or doubts the blocks of one battery."""

    def __init__(self, *, chemistry: str = "auto") -> None:
        self._cell_range = CELL_RANGE[chemistry]
        self._candidates: dict[str, Block] = {}
        self._noisy_until = float("-inf")
        self._currents: deque[float] = deque(maxlen=2)

    def refused(self, at: float) -> None:
        """Note that a frame was refused at `at`: for the next seconds jumps need a second frame."""
        self._noisy_until = at + NOISY_SECONDS

    def is_noisy(self, now: float) -> bool:
        """Whether a frame was refused in the last seconds."""
        return now < self._noisy_until

    def doubt(self, block: Block, accepted: Mapping[str, Block]) -> Doubt | None:
        """Return why `block` is not to be believed beside the newest accepted blocks; None where it is."""
        doubt = self._impossible(block, accepted) or self._unconfirmed(block, accepted)
        if doubt is None:
            doubt = self._contradiction(block, accepted)
        if doubt is None:
            self._candidates.pop(block.name, None)
            if (current := block.values.get("current")) is not None:
                self._currents.append(current)
        return doubt

    def may_excuse(self, doubt: Doubt) -> bool:
        """Whether a swinging load explains `doubt`, once both blocks were asked again."""
        swing = max(self._currents, default=0.0) - min(self._currents, default=0.0)
        return doubt.cause == "extremes" and swing > RESTING_CHANGE

    def _impossible(self, block: Block, accepted: Mapping[str, Block]) -> Doubt | None:
        count = _newest("cell_count", block, accepted)
        for key, value, (low, high) in self._limits(block.values, count):
            if value is not None and not low <= value <= high:
                return Doubt(cause="range", reason=f"{key} is {value:g}, outside {low:g} to {high:g}.")
        low_key, high_key = block.values.get("cell_voltage_min"), block.values.get("cell_voltage_max")
        if low_key is not None and high_key is not None and low_key > high_key:
            return Doubt(cause="range", reason=f"The lowest cell ({low_key} V) is above the highest ({high_key} V).")
        low_key, high_key = block.values.get("temperature_min"), block.values.get("temperature_max")
        if low_key is not None and high_key is not None and low_key > high_key:
            return Doubt(cause="range", reason=f"The lowest temperature ({low_key}) is above the highest ({high_key}).")
        return None

    def _limits(
        self, values: Mapping[str, Any], count: int | None
    ) -> Iterator[tuple[str, float | None, tuple[float, float]]]:
        """Give each value that has limits, by name, with them."""
        low, high = self._cell_range
        for key, value in values.items():
            if key in RANGES:
                yield key, value, RANGES[key]
            elif key == "voltage":
                yield key, value, (low * (count or 1), high * (count or 48))
            elif key in ("cell_voltage_min", "cell_voltage_max"):
                yield key, value, self._cell_range
            elif key == "cell_voltages":
                yield from (("cell_voltage", each, self._cell_range) for each in value)
            elif key == "temperatures":
                yield from ((each.name, each.value, TEMPERATURE_RANGE) for each in value)
            elif key in ("cell_min_number", "cell_max_number") and count is not None:
                yield key, value, (1, count)
            elif key == "balancing_cells" and count is not None:
                yield from ((key, each, (1, count)) for each in value)

    def _unconfirmed(self, block: Block, accepted: Mapping[str, Block]) -> Doubt | None:
        if not self.is_noisy(block.at):
            return None
        before, candidate = accepted.get(block.name), self._candidates.get(block.name)
        if before is not None and block.at - before.at <= NOISY_SECONDS and _is_near(block, before):
            return None
        if candidate is not None and block.at - candidate.at <= NOISY_SECONDS and _is_near(block, candidate):
            return None
        self._candidates[block.name] = block
        return Doubt(cause="jump", reason=f"{block.name} changed on a noisy line; a second frame has to show it too.")

    def _contradiction(self, block: Block, accepted: Mapping[str, Block]) -> Doubt | None:
        """Compare cells with the pack voltage and with the BMS's own extremes, where both are of the same moment."""
        for other in accepted.values():
            if other.name == block.name or block.at - other.at > COMPARABLE_SECONDS:
                continue
            for cells, rest in ((block, other), (other, block)):
                doubt = _sum_differs(cells, rest, other.name) or _extremes_differ(cells, rest, other.name)
                if doubt is not None:
                    return doubt
        return None


def _sum_differs(cells: Block, pack: Block, suspect: str) -> Doubt | None:
    voltages, voltage = cells.values.get("cell_voltages"), pack.values.get("voltage")
    if not voltages or None in voltages or voltage is None:
        return None
    total = sum(voltages)
    if abs(total - voltage) <= SUM_TOLERANCE + SUM_TOLERANCE_RELATIVE * voltage:
        return None
    reason = f"The cells sum up to {total:.3f} V, but the pack has {voltage} V."
    return Doubt(cause="sum", reason=reason, suspects=(suspect,))


def _extremes_differ(cells: Block, extremes: Block, suspect: str) -> Doubt | None:
    voltages, low = cells.values.get("cell_voltages"), extremes.values.get("cell_voltage_min")
    high = extremes.values.get("cell_voltage_max")
    if not voltages or None in voltages or low is None or high is None:
        return None
    if max(abs(min(voltages) - low), abs(max(voltages) - high)) <= EXTREMES_TOLERANCE + 1e-9:
        return None
    reason = f"Cells reach from {min(voltages)} to {max(voltages)} V, but the BMS tells {low} to {high} V."
    return Doubt(cause="extremes", reason=reason, suspects=(suspect,))


def _newest(key: str, block: Block, accepted: Mapping[str, Block]) -> Any:
    if key in block.values:
        return block.values[key]
    return next((each.values[key] for each in accepted.values() if key in each.values), None)


def _is_near(block: Block, other: Block) -> bool:
    """Whether no value changed by more than needs no second frame."""
    return all(
        key in FREE or _is_close(key, value, other.values.get(key)) for key, value in block.values.items()
    )


def _is_close(key: str, value: Any, other: Any) -> bool:
    if value is None or other is None:
        return value is other
    if key == "voltage":
        return bool(abs(value - other) <= VOLTAGE_JUMP * other + 1e-9)
    if key == "cell_voltages":
        return len(value) == len(other) and all(map(_is_close_cell, value, other))
    if key == "temperatures":
        return len(value) == len(other) and all(map(_is_close_temperature, value, other))
    if key in JUMPS:
        return bool(abs(value - other) <= JUMPS[key] + 1e-9)
    return bool(value == other)


def _is_close_cell(value: float | None, other: float | None) -> bool:
    if value is None or other is None:
        return value is other
    return abs(value - other) <= CELL_JUMP + 1e-9


def _is_close_temperature(value: Temperature, other: Temperature) -> bool:
    if value.value is None or other.value is None:
        return value.value is other.value
    return abs(value.value - other.value) <= TEMPERATURE_JUMP
