"""How Home Assistant gets from the discovery documents it has to those it should have, without losing history.

Pure: topics and documents in, messages out, in the order in which they have to be sent.
Migration: https://www.home-assistant.io/integrations/mqtt/#migration-from-single-component-to-device-based-discovery
Old topics are cleared before the new ones are filled: the other way round Home Assistant 2025.4 logs a conflict for
every entity and takes the clearing for their removal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.documents.homeassistant import Document

Published = Mapping[str, Mapping[str, str]]
"""Discovery topics that the broker keeps, each with the platform of every component in it (device form only)."""
Message = tuple[str, Document | None]
"""A topic and what to keep there; None removes it."""


def published_by(documents: Mapping[str, Document]) -> dict[str, dict[str, str]]:
    """Return what will be known as published once `documents` are."""
    return {topic: components_of(document) for topic, document in documents.items()}


def components_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the platform of every component of a document of the device form (empty for the single form)."""
    components = document.get("components")
    if not isinstance(components, dict):
        return {}
    return {
        key: component["platform"]
        for key, component in components.items()
        if isinstance(component, dict) and isinstance(component.get("platform"), str)
    }


def object_id_of(topic: str) -> str | None:
    """Return the id of the device that the discovery document at `topic` belongs to; None for another topic."""
    levels = topic.split("/")
    if levels[-1] != "config" or len(levels) < 4:
        return None
    return levels[-2] if levels[-3] == "device" else levels[-3]


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be sent, in three steps; between the first two Home Assistant needs a moment."""

    requests: tuple[Message, ...]
    """Ask Home Assistant to unload entities that move to another topic, and to keep all that it knows of them."""
    removals: tuple[Message, ...]
    """Clear topics that are no longer used: while one is there, Home Assistant refuses its entities elsewhere."""
    documents: tuple[Message, ...]
    """What is to be known from now on."""


def changes(published: Published, wanted: Mapping[str, Document]) -> Changes:
    """Return the messages that replace what is `published` by what is `wanted`.

    A device that changes its form keeps its entities: the old topics are told to let go before the new ones speak.
    """
    stale = [topic for topic in published if topic not in wanted]
    wanted_ids = set(_ids(wanted))
    return Changes(
        requests=tuple(
            (topic, {"migrate_discovery": True})
            for topic in stale
            if object_id_of(topic) in wanted_ids and _moves(topic, published[topic], wanted)
        ),
        removals=tuple((topic, None) for topic in stale),
        documents=tuple(_documents(published, wanted)),
    )


def _documents(published: Published, wanted: Mapping[str, Document]) -> Iterator[Message]:
    for topic, document in wanted.items():
        gone = {
            key: {"platform": platform}
            for key, platform in published.get(topic, {}).items()
            if key not in document.get("components", {})
        }
        if gone:  # Home Assistant removes a component that is reduced to its platform
            yield topic, {**document, "components": {**document["components"], **gone}}
        yield topic, document


def _ids(topics: Iterable[str]) -> Iterator[str]:
    for topic in topics:
        object_id = object_id_of(topic)
        if object_id is not None:
            yield object_id


def _moves(topic: str, components: Mapping[str, str], wanted: Mapping[str, Document]) -> bool:
    """Tell whether an entity of `topic` lives on in another topic: one that does not is removed, not moved."""
    if components or topic.split("/")[-3] == "device":
        return True
    prefix, platform, object_id, key, _ = topic.rsplit("/", 4)
    device = wanted.get(f"{prefix}/device/{object_id}/config")
    return device is not None and components_of(device).get(key) == platform
