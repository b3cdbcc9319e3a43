"""Reads the files of `tests/captures`: frames from elsewhere with the values that they are known to carry."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).resolve().parent.parent / "captures"


@dataclass(frozen=True, kw_only=True)
class Capture:
    """One frame, or answer, or piece of a stream."""

    id: str
    protocol: str
    source: str
    message: str
    request: bytes
    reply: bytes
    known: Mapping[str, Any]
    values: Mapping[str, Any]
    unknown: tuple[str, ...]
    """Names of values that the reply leaves unknown."""
    refused: str | None
    """The cause for which a reader has to refuse the reply."""

    def says(self, decoded: Mapping[str, Any]) -> bool:
        """Whether `decoded` holds what this capture is known to say."""
        return all(decoded[name] is None for name in self.unknown) and all(
            matches(decoded[key], value) for key, value in self.values.items()
        )


def load(protocol: str) -> list[Capture]:
    """Return the captures of a protocol; FileNotFoundError where it has none."""
    rows = tomllib.loads((DIRECTORY / f"{protocol}.toml").read_text(encoding="utf-8"))["capture"]
    return [
        Capture(
            id=row["id"],
            protocol=protocol,
            source=row["source"],
            message=row["message"],
            request=bytes.fromhex(row["request"]),
            reply=bytes.fromhex(row["reply"]),
            known=row.get("known", {}),
            values=row.get("values", {}),
            unknown=tuple(row.get("unknown", ())),
            refused=row.get("refused"),
        )
        for row in rows
    ]


def matches(value: Any, written: Any) -> bool:
    """Whether a decoded value is the one written in TOML; of a table only the written keys count."""
    if isinstance(written, dict):
        return all(matches(getattr(value, key), each) for key, each in written.items())
    if isinstance(written, list):
        return len(value) == len(written) and all(map(matches, value, written))
    return bool(plain(value) == written)


def plain(value: Any) -> Any:
    """Return a value as TOML and JSON could hold it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    return [plain(each) for each in value] if isinstance(value, tuple) else value
