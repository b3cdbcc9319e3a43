"""The configuration: typed sections, the layers they come from, and their checks.

Most rooms need only the section types, which are named here; `app` and the command line use `layers` and `files`.
"""

from __future__ import annotations

from bridge.config.sections import (
    BatterySection,
    BridgeSection,
    LoggingSection,
    MdnsSection,
    MqttSection,
    Secret,
    Settings,
    WebSection,
)

__all__ = [
    "BatterySection", "BridgeSection", "LoggingSection", "MdnsSection", "MqttSection", "Secret", "Settings",
    "WebSection",
]
