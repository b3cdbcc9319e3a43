"""What the bridge says about itself over MQTT: who it is, and how it is doing.

Pure: the same input gives the same document.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from bridge.documents.reading import timestamp
from bridge.interfaces import Health, Identity


def info_document(
    identity: Identity, *, batteries: Iterable[str], started: float | None, url: str | None
) -> dict[str, Any]:
    """Return who the bridge is. `started` is the wall clock at its start, `url` where its page can be opened."""
    return {
        "uid": identity.uid,
        "name": identity.name,
        "version": identity.version,
        "build": identity.build,
        "started": timestamp(started),
        "url": url,
        "batteries": list(batteries),
    }


def health_document(health: Health) -> dict[str, Any]:
    """Return how the bridge is doing: what the machine does not tell is None."""
    return {
        "status": health.status,
        "uptime": round(health.uptime, 1),
        "restart_reason": health.restart_reason,
        "box": asdict(health.box),
        "services": [
            {"name": each.name, "state": each.state, "detail": each.detail, "restarts": each.restarts}
            for each in health.services
        ],
        "advice": list(health.advice),
    }
