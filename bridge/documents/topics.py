"""The MQTT topics of one bridge: what is published where.

Pure: knows names only. What goes out on them, and what of it the broker keeps, stands in `outputs/mqtt`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ROOT = "smartbms"
_FORBIDDEN = re.compile(r"[^a-z0-9_-]+")


def segment(name: str) -> str:
    """Return `name` as one topic segment: lower case, without spaces, slashes and wildcards."""
    return _FORBIDDEN.sub("-", name.lower()).strip("-") or ROOT


def own_segment(name: str, uid: str) -> str:
    """Return the segment for a bridge whose name another bridge at the same broker has already."""
    return f"{segment(name)}-{uid[-4:]}"


def info_topic(bridge: str) -> str:
    """Return where the bridge with the segment `bridge` says who it is; `+` asks for all of them."""
    return f"{ROOT}/{bridge}/bridge/info"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of the bridge whose segment is `bridge`."""

    bridge: str

    @property
    def bridge_availability(self) -> str:
        """`online` or `offline`, kept by the broker; the broker itself sets it when the bridge vanishes."""
        return f"{ROOT}/{self.bridge}/bridge/availability"

    @property
    def bridge_info(self) -> str:
        """Who the bridge is, kept by the broker."""
        return info_topic(self.bridge)

    @property
    def bridge_health(self) -> str:
        """How the bridge and its machine are doing, now."""
        return f"{ROOT}/{self.bridge}/bridge/health"

    def availability(self, battery: str) -> str:
        """`online` while the battery's values are live, kept by the broker."""
        return f"{ROOT}/{self.bridge}/{battery}/availability"

    def link(self, battery: str) -> str:
        """How well the battery can be heard, and what to do about it, kept by the broker."""
        return f"{ROOT}/{self.bridge}/{battery}/link"

    def state(self, battery: str) -> str:
        """The newest reading as one JSON object."""
        return f"{ROOT}/{self.bridge}/{battery}/state"

    def alarms(self, battery: str) -> str:
        """The active alarms as a JSON list, kept by the broker."""
        return f"{ROOT}/{self.bridge}/{battery}/alarms"

    def event(self, battery: str) -> str:
        """An alarm that came or went, at the moment it did."""
        return f"{ROOT}/{self.bridge}/{battery}/event"

    def value(self, battery: str, key: str) -> str:
        """One plain value."""
        return f"{ROOT}/{self.bridge}/{battery}/values/{key}"

    def cell(self, battery: str, number: int) -> str:
        """The voltage of one cell, counted from 1."""
        return f"{ROOT}/{self.bridge}/{battery}/cells/{number}"
