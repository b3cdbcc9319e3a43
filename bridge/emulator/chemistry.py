"""What tells one cell chemistry from another: the open-circuit voltage over the state of charge, and a few constants.

Pure. Knows nothing of packs, protections in action, or protocols.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_POINTS = 400
_LAST = _POINTS - 1e-9
_BEYOND = 12.0
"""V per unit of charge by which the voltage runs away above full and below empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Per-cell voltages at which a battery management system for this chemistry acts, V."""

    high_warning: float
    high_protection: float
    low_warning: float
    low_protection: float
    high_release: float
    """How far the voltage must fall before a warning or protection against too much lets go."""
    low_release: float
    """How far it must rise before one against too little does."""
    balance_start: float
    balance_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chemistry:
    """One cell chemistry."""

    name: str
    nominal_voltage: float
    """V."""
    charge_voltage: float
    """V per cell at which a charger turns to constant voltage."""
    resistance: float
    """Ohmic resistance of a cell times its capacity, ohm·Ah."""
    heat_capacity: float
    """Of a cell per its capacity, J/(K·Ah)."""
    levels: Levels
    formula: Callable[[float], float]
    """Open-circuit voltage over the state of charge from 0 to 1."""

    def open_circuit_voltages(self, socs: Iterable[float]) -> list[float]:
        """Return the voltages of rested cells, V; `socs` are 0 to 1, and what lies outside runs away steeply."""
        curve = _curve(self.name)
        voltages = []
        for soc in socs:
            place = min(max(soc * _POINTS, 0.0), _LAST)
            index = int(place)
            low = curve[index]
            voltage = low + (curve[index + 1] - low) * (place - index)
            voltages.append(voltage if 0.0 <= soc < 1.0 else voltage + _BEYOND * (soc if soc < 0.0 else soc - 1.0))
        return voltages


@functools.cache
def _curve(name: str) -> tuple[float, ...]:
    formula = CHEMISTRIES[name].formula
    return tuple(formula(index / _POINTS) for index in range(_POINTS + 1))


def _lfp(soc: float) -> float:
    """Two knees and a plateau near 3.3 V.

    Form and coefficients: Lam, Bauer, Kelder, "A practical circuit-based model for Li-ion battery cells in electric
    vehicle applications", IEEE INTELEC 2011.
    """
    full_knee = math.exp(-0.008 / (1.0 - soc)) if soc < 1.0 else 0.0
    return -0.5863 * math.exp(-21.9 * soc) + 3.414 + 0.1102 * soc - 0.1718 * full_knee


def _nmc(soc: float) -> float:
    """A slope from 3.7 V to 4.1 V above a knee.

    Form and coefficients: Chen, Rincón-Mora, "Accurate electrical battery model capable of predicting runtime and I-V
    performance", IEEE Transactions on Energy Conversion 21 (2006), measured on a cell with a layered-oxide cathode.
    """
    return -1.031 * math.exp(-35.0 * soc) + 3.685 + 0.2156 * soc - 0.1178 * soc**2 + 0.3201 * soc**3


def _lto(soc: float) -> float:
    """The same cathode against lithium titanate, whose plateau lies 1.45 V above graphite's.

    Titanate at 1.55 V against lithium: Ohzuku, Ueda, Yamamoto, "Zero-strain insertion material of Li[Li1/3Ti5/3]O4 for
    rechargeable lithium cells", J. Electrochem. Soc. 142 (1995); graphite near 0.1 V.
    """
    return _nmc(soc) - 1.45


CHEMISTRIES: Mapping[str, Chemistry] = MappingProxyType({
    each.name: each
    for each in (
        Chemistry(
            name="lfp", nominal_voltage=3.2, charge_voltage=3.5, resistance=0.12, heat_capacity=20.0, formula=_lfp,
            levels=Levels(high_warning=3.60, high_protection=3.65, high_release=0.12, low_warning=2.80,
                          low_protection=2.50, low_release=0.35, balance_start=3.40, balance_difference=0.010),
        ),
        Chemistry(
            name="nmc", nominal_voltage=3.7, charge_voltage=4.1, resistance=0.10, heat_capacity=17.0, formula=_nmc,
            levels=Levels(high_warning=4.15, high_protection=4.20, high_release=0.12, low_warning=3.20,
                          low_protection=2.80, low_release=0.35, balance_start=3.95, balance_difference=0.010),
        ),
        Chemistry(
            name="lto", nominal_voltage=2.3, charge_voltage=2.65, resistance=0.04, heat_capacity=27.0, formula=_lto,
            levels=Levels(high_warning=2.70, high_protection=2.75, high_release=0.12, low_warning=1.80,
                          low_protection=1.50, low_release=0.25, balance_start=2.50, balance_difference=0.010),
        ),
    )
})
