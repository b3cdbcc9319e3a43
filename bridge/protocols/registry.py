"""Finds every protocol driver: each module of this package that has a `DRIVER`. Adding a file adds a protocol."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import bridge.protocols
from bridge.errors import ConfigError
from bridge.protocols.driver import Driver


@cache
def drivers() -> dict[str, Driver]:
    """Return every driver by name, in the order of their names."""
    modules = (
        importlib.import_module(f"bridge.protocols.{module.name}")
        for module in pkgutil.iter_modules(bridge.protocols.__path__)
    )
    found = (getattr(module, "DRIVER", None) for module in modules)
    return {driver.name: driver for driver in found if isinstance(driver, Driver)}


def driver(name: str) -> Driver:
    """Return the driver called `name`; ConfigError names the known ones."""
    try:
        return drivers()[name]
    except KeyError:
        known = ", ".join(drivers())
        raise ConfigError(f"There is no protocol {name!r}.", advice=f"Known protocols: {known}.") from None
