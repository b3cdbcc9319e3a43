"""One TOML file as a person saved it: byte-order mark, line ends, the line on which each key stands.

Turns any bytes into a table or a `ConfigError`; knows nothing of sections and keys.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.errors import ConfigError

LARGEST: Final = 1_000_000
"""Bytes; no configuration is larger."""

_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_-]+)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")
_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Toml:
    """The content of a file, and where it stands."""

    table: Mapping[str, Any]
    lines: Mapping[tuple[str, int, str], int]
    """Line of a key by section, count of that section so far (from 0) and key; "" is the section's own header."""


def parse(name: str, data: bytes) -> Toml:
    """Read `data`, the content of the file `name`; raise ConfigError with one sentence."""
    text = _decode(name, data)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{name}: brackets are nested too deeply.", where=name) from None
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(name, text, str(error)) from None
    except ValueError:
        raise ConfigError(f"{name}: a number has too many digits.", where=name) from None
    return Toml(table=table, lines=_locate(text))


def _decode(name: str, data: bytes) -> str:
    if len(data) > LARGEST:
        raise ConfigError(f"{name} is no configuration: it is larger than {LARGEST // 1000} kB.", where=name)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or data[:64].count(0) > len(data[:64]) // 3:
        raise ConfigError(f"{name} is saved as UTF-16.", where=name, advice="Save it as UTF-8.")
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name} line {line}: a character is not UTF-8.", where=name, advice="Save the file as UTF-8."
        ) from None


def _syntax_error(name: str, text: str, message: str) -> ConfigError:
    position = _POSITION.search(message)
    where = name
    if position is not None:
        line = int(position[1]) if position[1] else text.count("\n") + 1
        where = f"{name} line {line}"
        message = message[: position.start()]
    return ConfigError(f"{where}: not valid TOML: {message}.", where=where)


def _locate(text: str) -> dict[tuple[str, int, str], int]:
    """Find the lines of keys written in the usual way; none is better than a wrong one."""
    found: dict[tuple[str, int, str], int] = {}
    counts: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if '"""' in line or "'''" in line:
            break  # what looks like a key from here on may be part of a text
        if line.lstrip().startswith("["):
            header = _HEADER.match(line)
            section = header[1] if header else "?"
            counts[section] = counts.get(section, -1) + 1
            found[section, counts[section], ""] = number
        elif key := _KEY.match(line):
            found[section, counts.get(section, 0), key[1]] = number
    return found
