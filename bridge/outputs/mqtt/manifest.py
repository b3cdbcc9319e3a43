"""What this bridge has left at the broker, kept on disk so that exactly that can be taken away again.

Also what each battery turned out to have, so that after a start its entities are all there before it says a word.
Blocks on the disk: call it off the event loop.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bridge.documents.homeassistant import Layout
from bridge.errors import StorageError
from bridge.storage import write_whole

_LOGGER = logging.getLogger(__name__)

FILE = "mqtt.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is at the broker."""

    discovery: dict[str, dict[str, str]] = field(default_factory=dict)
    """Discovery topics, each with the platform of every component in it (device form only)."""
    kept: tuple[str, ...] = ()
    """Other topics on which the broker keeps something of ours."""
    layouts: dict[str, Layout] = field(default_factory=dict)
    """By battery; `bridge` is the machine."""


class ManifestFile:
    """The file that holds the manifest."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self._on_disk: bytes | None = None
        self._has_failed = False

    def read(self) -> Manifest:
        """Return what was kept; a file that is missing or damaged only costs looking at the broker again."""
        try:
            content = self._path.read_bytes()
            manifest = msgspec.json.decode(content, type=Manifest)
        except FileNotFoundError:
            return Manifest()
        except (OSError, msgspec.DecodeError) as error:
            _LOGGER.warning("%s cannot be used (%s): what it knew is looked up at the broker", self._path, error)
            return Manifest()
        self._on_disk = content
        return manifest

    def write(self, manifest: Manifest) -> None:
        """Keep `manifest`, if it changed."""
        content = msgspec.json.format(msgspec.json.encode(manifest, order="sorted")) + b"\n"
        if content == self._on_disk:
            return
        try:
            write_whole(self._path, content)
        except StorageError as error:
            _LOGGER.log(logging.DEBUG if self._has_failed else logging.WARNING, "%s It goes on without.", error)
            self._has_failed = True
        else:
            self._on_disk, self._has_failed = content, False
