"""Start Home Assistant as its program `hass` does, on a machine that seems to have loopback as its only network.

Otherwise it takes part in mDNS on every interface, which cannot be configured. Runs with the interpreter that has it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

interfaces: Any = import_module("ifaddr")
every_adapter = interfaces.get_adapters


def loopback_only(*arguments: Any, **options: Any) -> list[Any]:
    return [each for each in every_adapter(*arguments, **options) if each.name == "lo"]


interfaces.get_adapters = loopback_only
sys.exit(import_module("homeassistant.__main__").main())
