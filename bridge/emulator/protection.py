"""What a battery management system watches: warnings, and protections that trip a switch and let go with hysteresis.

Pure: measures and the time that passed come in, alarms and what is forbidden come out. Knows nothing of cells or
protocols.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from bridge.battery.model import Alarm, AlarmLevel

TRIP_DELAY = 2.0
"""s for which a measure must lie beyond a protection level before it trips, so that a blip does not."""


class Forbids(Enum):
    """What a tripped protection switches off."""

    NOTHING = "nothing"
    CHARGE = "charge"
    DISCHARGE = "discharge"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that is watched; it is a limit from above when `protection` > `warning`, else from below."""

    code: str
    """Alarm code of the public interface."""
    measure: str
    """The key of the measure that is watched."""
    warning: float
    protection: float
    release: float
    """How far the measure must come back from either level before that level ends."""
    forbids: Forbids = Forbids.NOTHING
    hold: float = 0.0
    """s for which a trip lasts at least: a current that was switched off is within its limit at once."""


class _Watch:
    """One rule with its state."""

    __slots__ = ("_beyond", "_held", "_sign", "level", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.level: AlarmLevel | None = None
        self._sign = 1.0 if rule.protection > rule.warning else -1.0
        self._beyond = 0.0
        self._held = 0.0

    def update(self, seconds: float, measure: float) -> None:
        rule, value = self.rule, self._sign * measure
        warning, protection = self._sign * rule.warning, self._sign * rule.protection
        self._beyond = self._beyond + seconds if value >= protection else 0.0
        if self.level is AlarmLevel.PROTECTION:
            self._held += seconds
            if value > protection - rule.release or self._held < rule.hold:
                return
            self.level = AlarmLevel.WARNING
        if self._beyond > TRIP_DELAY:
            self.level, self._held = AlarmLevel.PROTECTION, 0.0
        elif value >= warning:
            self.level = AlarmLevel.WARNING
        elif value < warning - rule.release:
            self.level = None


class Protections:
    """Watches every rule; tells the alarms and whether charging or discharging is forbidden now."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._watches = tuple(_Watch(rule) for rule in rules)
        self.forbids_charge = False
        self.forbids_discharge = False

    def update(self, seconds: float, measures: Mapping[str, float]) -> bool:
        """Take measures that held for the last `seconds`; return whether a switch changed."""
        charge = discharge = False
        for watch in self._watches:
            watch.update(seconds, measures[watch.rule.measure])
            if watch.level is AlarmLevel.PROTECTION:
                charge = charge or watch.rule.forbids in (Forbids.CHARGE, Forbids.BOTH)
                discharge = discharge or watch.rule.forbids in (Forbids.DISCHARGE, Forbids.BOTH)
        changed = (charge, discharge) != (self.forbids_charge, self.forbids_discharge)
        self.forbids_charge, self.forbids_discharge = charge, discharge
        return changed

    def alarms(self, cells: Mapping[str, int]) -> tuple[Alarm, ...]:
        """Return the active alarms; `cells` gives the number of the cell behind a measure, where there is one."""
        return tuple(
            Alarm(code=watch.rule.code, level=watch.level, cell=cells.get(watch.rule.measure))
            for watch in self._watches
            if watch.level is not None
        )
