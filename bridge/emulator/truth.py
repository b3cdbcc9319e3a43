"""What an emulated battery really said: the standard against which a reader is judged.

`Served` is one answer with its values at the wire's resolution, before any fault of the line. `Memory` keeps all values
of a run, `TruthFile` writes them as JSON lines. Knows nothing of how a line carries them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from bridge.battery.model import Temperature
from bridge.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One answer."""

    message: str
    """Name of the question."""
    request: bytes
    reply: bytes
    """What left the device; bytes that the line drops or corrupts are as they were."""
    values: Mapping[str, Any]
    """What the reply says, by key; empty where the device was made to answer wrongly."""
    faults: tuple[str, ...]
    """Names of the faults that were on."""
    at: float
    """Monotonic s at which the last byte left."""


class Witness(Protocol):
    """Takes note of what was served."""

    def note(self, served: Served) -> None:
        """Take note of one answer."""
        ...


class Memory:
    """Remembers every value that was ever served for each field, cell by cell and sensor by sensor."""

    def __init__(self) -> None:
        self.values: dict[str, set[Any]] = {}
        """Field (`voltage`, `cell_voltages.1` …) → values; a field that was told as None holds None."""

    def note(self, served: Served) -> None:
        """Add the values of one answer."""
        for key, value in served.values.items():
            for field, each in _fields(key, value):
                self.values.setdefault(field, set()).add(each)

    def unknown(self, key: str, value: Any) -> tuple[str, ...]:
        """Return the fields of `value` (a number, flag, text or tuple) that were never served so."""
        return tuple(field for field, each in _fields(key, value) if each not in self.values.get(field, ()))


class TruthFile:
    """Writes one JSON object a line: time, monotonic, message, request, reply, values, faults."""

    def __init__(self, path: Path, *, wall_offset: float) -> None:
        self._wall_offset = wall_offset
        try:
            self._file: IO[str] = path.open("w", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}.", where=str(path)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def note(self, served: Served) -> None:
        """Write one answer and flush."""
        document = {
            "time": round(served.at + self._wall_offset, 6), "monotonic": served.at, "message": served.message,
            "request": served.request.hex(), "reply": served.reply.hex(), "values": served.values,
            "faults": served.faults,
        }  # fmt: skip
        self._file.write(json.dumps(document, default=_plain) + "\n")
        self._file.flush()


def _fields(key: str, value: Any) -> list[tuple[str, Any]]:
    """Return each part of a value under the name of its field."""
    if key == "cell_voltages":
        return [(f"{key}.{number}", each) for number, each in enumerate(value, 1)]
    if key == "temperatures":
        return [(f"{key}.{each.name}", each.value) for each in value]
    return [(key, value)]


def _plain(value: Any) -> Any:
    if isinstance(value, Temperature):
        return {"name": value.name, "value": value.value}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
