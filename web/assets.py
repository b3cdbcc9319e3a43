"""The built pages: what `web/static/` holds, read once and kept in memory with its compressed form.

Only what was there at the start is served, by exact name, so no request reaches the disk.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from aiohttp import web

from web.responses import accepts_gzip

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_FOR_EVER = "private, max-age=31536000, immutable"
_ASK_AGAIN = "private, no-cache"


class _Manifest(msgspec.Struct, frozen=True):
    """What the build says of itself."""

    build: str
    js: str
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of the built pages."""

    body: bytes
    compressed: bytes | None
    """None where compression gains nothing."""
    content_type: str
    etag: str
    has_hash: bool
    """Whether its name changes with its content."""

    def respond(self, request: web.Request) -> web.Response:
        """Return the file, or 304 where the client has it."""
        headers = {
            "Cache-Control": _FOR_EVER if self.has_hash else _ASK_AGAIN,
            "ETag": self.etag,
            "Vary": "Accept-Encoding",
        }
        known = request.headers.get("If-None-Match", "")
        if any(each.strip().removeprefix("W/") in (self.etag, "*") for each in known.split(",")):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = self.content_type
        if self.compressed is not None and accepts_gzip(request):
            return web.Response(body=self.compressed, headers=headers | {"Content-Encoding": "gzip"})
        return web.Response(body=self.body, headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPages:
    """All built pages; without a build there are none and `missing` says why."""

    build: str | None = None
    """Id that changes with every build."""
    js: str | None = None
    css: str | None = None
    files: Mapping[str, Asset] = field(default_factory=dict)
    """By name below `static/`."""
    missing: str | None = None
    """One sentence."""


def load_built_pages(folder: Path) -> BuiltPages:
    """Read `folder`, in which the build leaves the hashed files and `manifest.json`. Blocks."""
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=_Manifest)
        names = (manifest.js, manifest.css)
        files = {
            path.relative_to(folder).as_posix(): _load(path, has_hash=path.relative_to(folder).as_posix() in names)
            for path in folder.rglob("*")
            if path.is_file() and path.name != "manifest.json" and not path.name.startswith(".")
        }
    except FileNotFoundError:
        return BuiltPages(missing="The live page is not part of this installation: it was made without Node.js.")
    except (OSError, msgspec.DecodeError) as error:
        return BuiltPages(missing=f"The live page of this installation cannot be read: {error}.")
    if lost := [name for name in names if name not in files]:
        return BuiltPages(missing=f"The live page of this installation is incomplete: {', '.join(lost)} is missing.")
    return BuiltPages(build=manifest.build, js=manifest.js, css=manifest.css, files=files)


def _load(path: Path, *, has_hash: bool) -> Asset:
    body = path.read_bytes()
    compressed = gzip.compress(body, mtime=0)
    return Asset(
        body=body,
        compressed=compressed if len(compressed) < len(body) else None,
        content_type=_CONTENT_TYPES.get(path.suffix, "application/octet-stream"),
        etag=f'"{hashlib.sha256(body).hexdigest()[:16]}"',
        has_hash=has_hash,
    )
