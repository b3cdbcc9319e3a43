"""The JSON documents of the API, and the rows of the plain table.

Knows nothing of HTTP. What a reading looks like stands in `bridge.documents.reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.battery.model import LinkState
from bridge.battery.quantities import QUANTITIES, Quantity, Shape
from bridge.documents.bridge import health_document
from bridge.documents.reading import link_document, reading_document, timestamp
from bridge.interfaces import BatterySource, Clock, HealthReader, Identity, LineStatistics, StateReader

SHOWN_CAPTURES = 5
"""Refused frames that the health document shows of each battery, newest last."""

_UNKNOWN = "–"


class Documents:
    """The documents of this bridge, as they are when asked for."""

    def __init__(
        self,
        *,
        identity: Identity,
        build: str,
        hub: StateReader,
        sources: Mapping[str, BatterySource],
        health: HealthReader,
        clock: Clock,
    ) -> None:
        """`build` is the id of the pages that are served."""
        self._identity = identity
        self._build = build
        self._hub = hub
        self._sources = sources
        self._health = health
        self._clock = clock

    def battery(self, battery: str) -> dict[str, Any]:
        """Return one battery: its reading, its name and, while it is offline, the last live reading."""
        now = self._clock.monotonic()
        state = self._hub.latest(battery)
        document = reading_document(state, now)
        document["name"] = self._hub.descriptions[battery].name
        if not state.link.state.is_online:
            last = self._hub.last_live(battery)
            document["last"] = None if last is None else reading_document(last, now)
        return document

    def batteries(self) -> list[dict[str, Any]]:
        """Return all batteries, in the order of the configuration."""
        return [self.battery(each) for each in self._hub.descriptions]

    def health(self) -> dict[str, Any]:
        """Return the health of the bridge, its services, the box and every battery's line."""
        health = self._health.read()
        return self._about() | health_document(health) | {
            "ports": dict(health.ports),
            "addresses": list(health.addresses),
            "batteries": {each: self._link(each) for each in self._hub.descriptions},
        }

    def hello(self) -> dict[str, Any]:
        """Return what a stream says first."""
        return self._about() | {"emulated": any(each.emulated for each in self._hub.descriptions.values())}

    def _about(self) -> dict[str, Any]:
        identity = self._identity
        return {
            "version": identity.version, "build": self._build, "bridge": identity.name, "uid": identity.uid,
        }

    def _link(self, battery: str) -> dict[str, Any]:
        source = self._sources.get(battery)
        document = link_document(self._hub.latest(battery).link)
        document["line"] = None if source is None else line_document(source.statistics())
        return document


def line_document(line: LineStatistics) -> dict[str, Any]:
    """Return what happened on a battery's line, with the newest refused frames in hex."""
    return {
        "questions": line.questions,
        "accepted": line.accepted,
        "refused": dict(line.refused),
        "asked_again": line.asked_again,
        "cycles": line.cycles,
        "cycle_seconds": line.cycle_seconds,
        "reply_timeout": line.reply_timeout,
        "pause": line.pause,
        "captures": [
            {"at": timestamp(each.at), "cause": each.cause, "frame": each.frame.hex()}
            for each in line.captures[-SHOWN_CAPTURES:]
        ],
    }


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the plain table."""

    key: str
    name: str
    text: str


def rows(reading: Mapping[str, Any]) -> list[Row]:
    """Return the plain table of a reading (its JSON object), one row per quantity."""
    return [Row(each.key, each.name, _text(each, reading)) for each in QUANTITIES]


def _text(quantity: Quantity, reading: Mapping[str, Any]) -> str:
    value = reading[quantity.key]
    if value is None:
        return _UNKNOWN
    if quantity.shape is Shape.FLAG:
        return "yes" if value else "no"
    if quantity.shape is Shape.NUMBER:
        return _number(quantity, value)
    if not value:
        is_known = quantity.key in _KNOWN_BY and reading[_KNOWN_BY[quantity.key]] is not None
        return "none" if is_known else _UNKNOWN
    return ", ".join(_item(quantity, number, each) for number, each in enumerate(value, start=1))


_KNOWN_BY = {"alarms": "problem", "balancing_cells": "balancing"}
"""Which key is not null when an empty list means none; of other lists an empty one is unknown."""


def _item(quantity: Quantity, number: int, item: Any) -> str:
    """Return one member of a list: a cell's value, the number of a cell, a sensor or an alarm."""
    if not isinstance(item, Mapping):
        return str(item) if quantity.unit is None else f"{number}: {_number(quantity, item)}"
    if "code" in item:
        where = "" if item["cell"] is None else f", cell {item['cell']}"
        return f"{_words(item['code'])} ({item['level']}{where})"
    return f"{_words(item['name'])}: {_number(quantity, item['value'])}"


def _number(quantity: Quantity, value: float | None) -> str:
    if value is None:
        return _UNKNOWN
    text = str(value) if quantity.digits is None else f"{value:.{quantity.digits}f}"
    return text if quantity.unit is None else f"{text} {quantity.unit}"


def _words(code: str) -> str:
    return code.replace("_", " ")


def link_text(battery: Mapping[str, Any]) -> str:
    """Say in a sentence or two how well a battery (its JSON object) can be heard, and what to do where it cannot."""
    return " ".join(filter(None, (_LINK_TEXTS[LinkState(battery["link"])], battery.get("advice"))))


_LINK_TEXTS: Mapping[LinkState, str] = {
    LinkState.STARTING: "Waiting for the battery.",
    LinkState.OK: "Live.",
    LinkState.LATE: "The battery answers slowly.",
    LinkState.ASLEEP: "The battery is asleep.",
    LinkState.SILENT: "The battery does not answer.",
    LinkState.NOISY: "The answers cannot be read.",
    LinkState.STALE: "The answers are not believable.",
    LinkState.UNPLUGGED: "The port cannot be opened.",
    LinkState.UPDATING: "The battery's firmware is being updated.",
}
