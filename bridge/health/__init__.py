"""How the machine that carries the bridge is doing, and what its owner can do about it.

`machine` measures, `findings` judges, `monitor` is the service that others ask.
"""

from __future__ import annotations

from bridge.health.monitor import HealthMonitor

__all__ = ["HealthMonitor"]
