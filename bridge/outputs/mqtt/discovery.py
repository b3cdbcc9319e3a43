"""Home Assistant discovery over a connection: announces, updates, migrates, and clears what is no longer true.

What the documents look like is none of its business (`documents.homeassistant`), nor when they are due (`output`).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec

from bridge.battery.model import BatteryState
from bridge.config import MqttSection
from bridge.documents.discovery_changes import Changes, Message, changes, components_of, object_id_of, published_by
from bridge.documents.homeassistant import (
    Device,
    Document,
    Layout,
    battery_device,
    battery_object_id,
    bridge_device,
    bridge_object_id,
    is_own_object_id,
)
from bridge.documents.topics import Topics, info_topic
from bridge.hub import Hub
from bridge.interfaces import Box, Identity
from bridge.outputs.mqtt.connection import Connection
from bridge.outputs.mqtt.manifest import Manifest, ManifestFile
from bridge.outputs.mqtt.publisher import DOCUMENT, encode

_LOGGER = logging.getLogger(__name__)

_UID = re.compile("[0-9a-f]{8}")
BRIDGE = "bridge"
"""Owner of the documents of the bridge itself; no battery may have this id."""
_CONFIRM_EVERY = 20
"""Messages after which the broker is given time to confirm: some 200 kB, which a slow line carries in that time."""


class Discovery:
    """What Home Assistant knows of this bridge and its batteries."""

    def __init__(
        self, *, settings: MqttSection, identity: Identity, hub: Hub, manifest: ManifestFile,
        url: Callable[[], str | None], migration_pause: float,
    ) -> None:
        """Store what is needed.

        `url` gives the address of the page, once there is one; `migration_pause` is the time in s that Home Assistant
        has to let go of an entity that moves to another topic.
        """
        self._settings = settings
        self._identity = identity
        self._hub = hub
        self._file = manifest
        self._url = url
        self._migration_pause = migration_pause
        self._manifest = Manifest()
        self._found: dict[str, dict[str, str]] = {}
        self._told_url: str | None = None

    async def load(self) -> None:
        """Read what earlier runs left at the broker."""
        self._manifest = await asyncio.to_thread(self._file.read)

    @property
    def left_behind(self) -> frozenset[str]:
        """Topics other than discovery on which the broker may still keep something of an earlier run."""
        return frozenset(self._manifest.kept)

    async def look_around(self, connection: Connection) -> dict[str, str]:
        """Note which discovery documents of ours the broker keeps, and return the uid of each bridge by its segment."""
        prefix = self._settings.discovery_prefix
        bridges: dict[str, str] = {}
        filters = [f"{prefix}/device/+/config", f"{prefix}/+/+/+/config", info_topic("+")]
        for topic, payload in await connection.kept(filters):
            object_id = object_id_of(topic)
            if object_id is not None and is_own_object_id(object_id, self._identity.uid):
                self._found[topic] = components_of(_decode(payload))
            elif topic.endswith("/bridge/info") and _UID.fullmatch(uid := str(_decode(payload).get("uid"))):
                bridges[topic.split("/")[1]] = uid
        return bridges

    def learn(self, state: BatteryState) -> bool:
        """Note what `state` tells of a battery, and return whether its entities change by it."""
        known = self._layout(state.battery)
        return state.link.state.is_online and self._learn(state.battery, known.learn(state))

    def learn_box(self, box: Box) -> bool:
        """Note what the machine tells of itself, and return whether its entities change by it."""
        return self._learn(BRIDGE, self._layout(BRIDGE).learn_box(box))

    @property
    def is_url_new(self) -> bool:
        """Whether the page has another address than the one that was announced."""
        return self._url() != self._told_url

    async def announce(self, connection: Connection, topics: Topics, *, kept: Iterable[str]) -> None:
        """Send every document, and clear what is no longer true; `kept` are the other topics in use."""
        self._told_url = self._url()
        wanted: dict[str, Document] = {}
        for owner in (BRIDGE, *self._hub.descriptions):
            wanted |= self._documents(owner, topics)
            await asyncio.sleep(0)  # with hundreds of batteries this takes a while
        published = {**self._found, **self._manifest.discovery}
        await self._save(discovery={**published, **published_by(wanted)}, kept=frozenset(kept) | self.left_behind)
        await self._change(connection, changes(published, wanted))
        self._found.clear()
        await self._save(discovery=published_by(wanted), kept=frozenset(kept))

    async def update(self, connection: Connection, topics: Topics, owners: Iterable[str]) -> None:
        """Send the documents of some batteries, or of the bridge itself, again: they have other entities now."""
        self._told_url = self._url()
        published = dict(self._manifest.discovery)
        by_device: dict[str | None, dict[str, dict[str, str]]] = {}
        for topic, components in published.items():
            by_device.setdefault(object_id_of(topic), {})[topic] = components
        for owner in owners:
            wanted = self._documents(owner, topics)
            before = by_device.get(self._object_id(owner), {})
            await self._change(connection, changes(before, wanted))
            for topic in before.keys() - wanted.keys():
                del published[topic]
            published |= published_by(wanted)
            await asyncio.sleep(0)
        await self._save(discovery=published, kept=self._manifest.kept)

    async def remember(self, kept: Iterable[str]) -> None:
        """Write down what the broker keeps by now."""
        await self._save(discovery=self._manifest.discovery, kept=kept)

    def _layout(self, owner: str) -> Layout:
        return self._manifest.layouts.get(owner) or Layout()

    def _learn(self, owner: str, layout: Layout) -> bool:
        if layout is self._manifest.layouts.get(owner) or layout == self._layout(owner):
            return False
        self._manifest.layouts[owner] = layout
        return self._settings.discovery != "off"

    def _documents(self, owner: str, topics: Topics) -> dict[str, Document]:
        if self._settings.discovery == "off":
            return {}
        device = self._device(owner, topics)
        prefix = self._settings.discovery_prefix
        if self._settings.discovery == "single":
            return device.single_documents(prefix)
        return device.device_documents(prefix)

    def _device(self, owner: str, topics: Topics) -> Device:
        layout = self._layout(owner)
        if owner == BRIDGE:
            return bridge_device(self._identity, topics, layout=layout, url=self._told_url)
        return battery_device(
            self._identity, topics, self._hub.descriptions[owner],
            layout=layout, publish_interval=self._settings.publish_interval, url=self._told_url,
        )

    def _object_id(self, owner: str) -> str:
        uid = self._identity.uid
        return bridge_object_id(uid) if owner == BRIDGE else battery_object_id(uid, owner)

    async def _change(self, connection: Connection, steps: Changes) -> None:
        if steps.requests:
            await self._send(connection, steps.requests)
            await asyncio.sleep(self._migration_pause)
        await self._send(connection, steps.removals)
        await self._send(connection, steps.documents)

    async def _send(self, connection: Connection, messages: Iterable[Message]) -> None:
        for number, (topic, document) in enumerate(messages, 1):
            payload = b"" if document is None else encode(document)
            if number % _CONFIRM_EVERY:
                connection.send(topic, payload, qos=1, retain=True, properties=DOCUMENT)
            else:
                await connection.send_and_confirm(topic, payload, retain=True, properties=DOCUMENT)

    async def _save(self, *, discovery: dict[str, dict[str, str]], kept: Iterable[str]) -> None:
        layouts = {
            owner: layout for owner, layout in self._manifest.layouts.items()
            if owner == BRIDGE or owner in self._hub.descriptions
        }
        self._manifest = replace(
            self._manifest, discovery=discovery, kept=tuple(sorted(kept)), layouts=layouts
        )
        await asyncio.to_thread(self._file.write, self._manifest)


def _decode(payload: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else: foreign hands may have put it there."""
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
