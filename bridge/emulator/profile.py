"""What kind of device is emulated: the profile of its protocol, changed by what a port URL or a command line asks for.

A port URL looks like `emulated://daly?cells=16&latency=5&seed=1&fault=corrupt=0.02&padded=1`; the same names serve the
command line. Knows nothing of lines and time.
"""

from __future__ import annotations

import contextlib
import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bridge.battery.model import DeviceInfo
from bridge.emulator.chemistry import CHEMISTRIES
from bridge.emulator.faults import Fault, parse_fault
from bridge.emulator.pack import PackDesign
from bridge.emulator.scenario import Event, read_scenario
from bridge.errors import ConfigError
from bridge.protocols import registry
from bridge.protocols.driver import Driver, Variant

SCHEME = "emulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that makes one emulated battery."""

    driver: Driver
    design: PackDesign
    variant: Variant
    baudrate: int
    latency: float
    """s between a request's last byte and the reply's first."""
    measured_every: float
    """s between two measurements."""
    sleeps_with_echo: bool
    """Whether a sleeping device sends requests back; otherwise it is silent."""
    faults: tuple[Fault, ...] = ()
    events: tuple[Event, ...] = ()
    on_pty: bool = True
    """Whether the port is a pseudo-terminal; otherwise memory."""


def recipe_from_url(url: str) -> Recipe:
    """Return what an `emulated://` URL asks for; raise ConfigError with one sentence."""
    parts = urlsplit(url)
    if parts.scheme != SCHEME or not parts.netloc:
        raise ConfigError(f"{url} is not the URL of an emulated battery.", where=url,
                          advice="It looks like emulated://daly?cells=16.")  # fmt: skip
    return make_recipe(parts.netloc, parse_qsl(parts.query, keep_blank_values=True), where=url)


def make_recipe(protocol: str, wishes: Iterable[tuple[str, str]] = (), *, where: str | None = None) -> Recipe:
    """Return the profile of `protocol`, changed by `wishes` (name and text); raise ConfigError with one sentence."""
    driver = registry.driver(protocol)
    profile = _profile(protocol)
    recipe = _plain_recipe(driver, profile)
    for name, text in wishes:
        recipe = _with_wish(recipe, name, text, where)
    _check_limits(recipe, profile["limits"], where)
    return recipe


@cache
def _profile(protocol: str) -> Mapping[str, Any]:
    text = (resources.files("bridge.emulator") / "profiles" / f"{protocol}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _plain_recipe(driver: Driver, profile: Mapping[str, Any]) -> Recipe:
    pack, behaviour = profile["pack"], profile["behaviour"]
    return Recipe(
        driver=driver,
        design=PackDesign(**{**pack, "sensors": tuple(pack["sensors"])}, device=DeviceInfo(**profile["device"])),
        variant=Variant(),
        baudrate=driver.line.baudrate,
        latency=profile["line"]["latency_ms"] / 1000,
        measured_every=behaviour["measured_every"],
        sleeps_with_echo=behaviour["asleep"] == "echo",
    )


# --- wishes ---------------------------------------------------------------------------------------------------------


class _Unfit(ValueError):
    """The text does not fit; the argument says what would."""


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        with contextlib.suppress(ValueError):
            if low <= (number := int(text, 0)) <= high:
                return number
        raise _Unfit(f"a whole number from {low} to {high}")

    return read


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= (number := float(text)) <= high:
                return number
        raise _Unfit(f"a number from {low:g} to {high:g}")

    return read


def _one_of(words: Mapping[str, Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if text not in words:
            raise _Unfit(f"one of {', '.join(words)}")
        return words[text]

    return read


_switch = _one_of({"1": True, "0": False, "on": True, "off": False, "true": True, "false": False})
_chemistry = _one_of({name: name for name in CHEMISTRIES})


def _sensors(text: str) -> tuple[str, ...]:
    return tuple(f"sensor_{number}" for number in range(1, _whole(0, 255)(text) + 1))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_whole(0, 2**31)(each) for each in text.split(",") if each)


_Change = Callable[[Recipe, Any], Recipe]


def _in_pack(key: str) -> _Change:
    return lambda recipe, value: replace(recipe, design=replace(recipe.design, **{key: value}))


def _in_recipe(key: str) -> _Change:
    return lambda recipe, value: replace(recipe, **{key: value})


def _in_options(key: str) -> _Change:
    return lambda recipe, value: replace(
        recipe, variant=replace(recipe.variant, options={**recipe.variant.options, key: value})
    )


_WISHES: Mapping[str, tuple[Callable[[str], Any], _Change]] = {
    "cells": (_whole(1, 255), _in_pack("cells")),
    "capacity": (_number(0.1, 10_000), _in_pack("capacity")),
    "chemistry": (_chemistry, _in_pack("chemistry")),
    "soc": (_number(0, 100), _in_pack("soc")),
    "cycles": (_whole(0, 65535), _in_pack("cycles")),
    "ambient": (_number(-40, 80), _in_pack("ambient")),
    "sensors": (_sensors, _in_pack("sensors")),
    "sleep_after": (_number(1, 65534), _in_pack("sleep_after")),
    "seed": (_whole(0, 2**31), _in_pack("seed")),
    "baud": (_whole(300, 4_000_000), _in_recipe("baudrate")),
    "latency": (lambda text: _number(0, 10_000)(text) / 1000, _in_recipe("latency")),
    "pty": (_switch, _in_recipe("on_pty")),
    "scenario": (lambda text: read_scenario(Path(text)), _in_recipe("events")),
    "fault": (parse_fault, lambda recipe, fault: replace(recipe, faults=(*recipe.faults, fault))),
    "address": (_whole(0, 255), lambda recipe, value: replace(recipe, variant=replace(recipe.variant, address=value))),
}
"""Name → how its text is read, and what it changes; a protocol's own switches come on top."""


def _with_wish(recipe: Recipe, name: str, text: str, where: str | None) -> Recipe:
    """Return `recipe` with one wish fulfilled."""
    options = recipe.driver.variant_options
    wishes = {**_WISHES, **{key: (_option_reader(default), _in_options(key)) for key, default in options.items()}}
    if name not in wishes:
        near = next(iter(difflib.get_close_matches(name, wishes, n=1)), None)
        advice = f'Did you mean "{near}"?' if near else f"It has {', '.join(wishes)}."
        raise ConfigError(
            f'An emulated battery has no setting "{name}".', where=where, suggestion=near, advice=advice
        )
    read, change = wishes[name]
    try:
        return change(recipe, read(text))
    except _Unfit as error:
        raise ConfigError(f'"{name}" of an emulated battery must be {error}, not "{text}".', where=where) from error


def _option_reader(default: Any) -> Callable[[str], Any]:
    """Return what reads a protocol's own switch, by the type of its default."""
    if isinstance(default, bool):
        return _switch
    if isinstance(default, int):
        return _whole(-(2**31), 2**31)
    return _numbers if isinstance(default, tuple) else str


def _check_limits(recipe: Recipe, limits: Mapping[str, int], where: str | None) -> None:
    for name, number in (("cells", recipe.design.cells), ("sensors", len(recipe.design.sensors))):
        if number > limits[name]:
            raise ConfigError(f"{recipe.driver.title} knows at most {limits[name]} {name}, not {number}.", where=where)
