"""A household's day as seen by its battery: loads that come and go, and the sun.

Pure: the same seed and the same moment give the same wish. Powers are told per capacity (1/h), so that every pack gets
a household of its own size. Knows nothing of protocols or of what the management system allows.
"""

from __future__ import annotations

import functools
import math
import random

from bridge.emulator.pack import Pack

_HOUR, _DAY = 3600.0, 86400.0
_START_HOUR = 10.0
"""Time of day at which an emulated battery begins."""
_SUNRISE, _SUNSET = 6.0, 20.0
_SOLAR_PEAK = 0.20
_FRIDGE = 0.007
_FRIDGE_CYCLE, _FRIDGE_ON = 2700.0, 960.0
_EMPTY, _ENOUGH = 12.0, 18.0
"""% at which the inverter leaves the loads to the grid, and takes them back."""

_APPLIANCES = (
    # hour of the day, spread of it, s, 1/h
    (7.0, 0.7, 180.0, 0.14),  # kettle
    (7.6, 0.5, 600.0, 0.06),  # hair dryer, toaster
    (10.5, 2.0, 1500.0, 0.14),  # washing machine heats
    (11.2, 2.0, 3600.0, 0.02),  # washing machine turns
    (12.5, 0.5, 1500.0, 0.11),  # lunch
    (15.5, 1.0, 180.0, 0.14),  # kettle
    (18.6, 0.8, 2400.0, 0.16),  # dinner
    (20.6, 0.7, 1200.0, 0.13),  # dishwasher heats
)


class HouseholdLoad:
    """Tells which current a household with solar panels wants of its battery."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._phase = random.Random(f"fridge {seed}").uniform(0.0, _FRIDGE_CYCLE)
        self._is_resting = False
        self._knot = functools.lru_cache(maxsize=8)(self._draw_knot)
        self._plan = functools.lru_cache(maxsize=2)(self._draw_plan)

    def current(self, at: float, pack: Pack) -> float:
        """Return the current wanted `at` seconds after the start, A, positive charging."""
        time = at + _START_HOUR * _HOUR
        current = (self._solar(time) - self._consumption(time)) * pack.design.capacity
        if current > 0:
            return max(min(current, pack.current_for(pack.chemistry.charge_voltage)), 0.0)
        self._is_resting = pack.soc < (_ENOUGH if self._is_resting else _EMPTY)
        return 0.0 if self._is_resting else current

    def _solar(self, time: float) -> float:
        height = math.sin(math.pi * ((time % _DAY) / _HOUR - _SUNRISE) / (_SUNSET - _SUNRISE))
        return _SOLAR_PEAK * height**1.3 * (0.25 + 0.75 * self._walk("clouds", time, 900.0)) if height > 0 else 0.0

    def _consumption(self, time: float) -> float:
        rate = 0.010 + 0.022 * self._walk("base load", time, 1200.0)
        if (time + self._phase) % _FRIDGE_CYCLE < _FRIDGE_ON:
            rate += _FRIDGE
        day, second = divmod(time, _DAY)
        return rate + sum(power for begin, end, power in self._plan(int(day)) if begin <= second < end)

    def _walk(self, what: str, time: float, every: float) -> float:
        """Return a value from 0 to 1 that wanders smoothly, with a new aim `every` so many seconds."""
        index, share = divmod(time / every, 1.0)
        before, after = self._knot(what, int(index)), self._knot(what, int(index) + 1)
        return before + (after - before) * share * share * (3 - 2 * share)

    def _draw_knot(self, what: str, index: int) -> float:
        return random.Random(f"{what} {self._seed} {index}").random()

    def _draw_plan(self, day: int) -> tuple[tuple[float, float, float], ...]:
        """Return when which appliance runs on a day: begin, end (s after midnight), power."""
        chance = random.Random(f"appliances {self._seed} {day}")
        plan = []
        for hour, spread, seconds, power in _APPLIANCES:
            begin = (hour + chance.uniform(-spread, spread)) * _HOUR
            plan.append((begin, begin + seconds * chance.uniform(0.8, 1.3), power * chance.uniform(0.85, 1.1)))
        return tuple(plan)
