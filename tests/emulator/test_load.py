"""The household's day: it follows the seed and the sun, and treats the battery well."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bridge.emulator.load import HouseholdLoad
from bridge.emulator.pack import Pack, PackDesign

HOUR, DAY = 3600.0, 86400.0
START = 10.0
"""Time of day at the start, h."""


def at_hour(hour: float, day: int = 0) -> float:
    """Return seconds after the start for a time of day."""
    return day * DAY + (hour - START) * HOUR


def test_same_seed_gives_the_same_day_in_any_order() -> None:
    pack = Pack(PackDesign(soc=60.0))
    moments = [at_hour(hour / 4) for hour in range(48, 120)]
    forwards, backwards = HouseholdLoad(3), HouseholdLoad(3)

    wishes = {at: forwards.current(at, pack) for at in moments}

    assert {at: backwards.current(at, pack) for at in reversed(moments)} == wishes
    assert {at: HouseholdLoad(4).current(at, pack) for at in moments} != wishes


@pytest.mark.parametrize("seed", range(1, 6))
def test_nights_discharge_and_noons_charge(seed: int) -> None:
    pack, load = Pack(PackDesign(soc=60.0)), HouseholdLoad(seed)

    nights = [load.current(at_hour(hour, day=1), pack) for hour in (0.0, 2.0, 4.0)]
    noons = [load.current(at_hour(13 + minute / 60, day=1), pack) for minute in range(0, 120, 5)]

    assert max(nights) < 0
    assert sum(noons) > 0


@pytest.mark.parametrize("seed", range(1, 4))
def test_current_changes_slowly_but_for_the_steps_of_appliances(seed: int) -> None:
    pack, load = Pack(PackDesign(soc=60.0)), HouseholdLoad(seed)
    currents = [load.current(float(second), pack) for second in range(int(DAY))]

    changes = [abs(after - before) for before, after in pairwise(currents)]
    steps = [change for change in changes if change > 1.0]

    assert 10 < len(steps) < 120  # fridge and appliances, on and off
    assert max(steps) < 0.5 * pack.design.capacity


@pytest.mark.parametrize("chemistry", ["lfp", "nmc", "lto"])
@pytest.mark.parametrize("seed", [1, 2])
def test_days_with_the_household_never_raise_an_alarm(chemistry: str, seed: int) -> None:
    pack, load = Pack(PackDesign(chemistry=chemistry, seed=seed)), HouseholdLoad(seed)
    socs = []
    for second in range(0, int(3 * DAY), 20):
        pack.advance(20.0, load.current(float(second), pack))
        if second % 600 == 0:
            snapshot = pack.measure()
            socs.append(snapshot.soc)
            assert snapshot.alarms == ()

    assert min(socs) > 10
    assert max(socs) - min(socs) > 20


def test_inverter_leaves_a_low_battery_alone_until_it_has_recovered() -> None:
    pack, load = Pack(PackDesign(soc=12.5)), HouseholdLoad(1)
    night = at_hour(2.0, day=1)

    assert load.current(night, pack) < 0
    pack.set_soc(11.0)
    assert load.current(night, pack) == 0.0
    pack.set_soc(15.0)
    assert load.current(night, pack) == 0.0
    pack.set_soc(19.0)
    assert load.current(night, pack) < 0


def test_charger_tapers_off_at_its_voltage() -> None:
    pack, load = Pack(PackDesign(soc=100.0)), HouseholdLoad(1)

    current = max(load.current(at_hour(12 + minute / 10), pack) for minute in range(20))

    assert 0 <= current < 0.05 * pack.design.capacity
