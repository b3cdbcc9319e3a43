"""The embedded MQTT broker, for trying out. `EmbeddedBroker` is the service; amqtt is imported when it runs."""

from __future__ import annotations

from bridge.outputs.broker.embedded import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
