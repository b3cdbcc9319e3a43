"""MQTT: live states, what the broker keeps of them, and Home Assistant discovery. `MqttOutput` is the service."""

from __future__ import annotations

from bridge.outputs.mqtt.output import MqttOutput
from bridge.outputs.mqtt.session import Timing

__all__ = ["MqttOutput", "Timing"]
