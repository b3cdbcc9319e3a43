"""Where the configuration is kept, and reading it: bridge.toml, and settings.toml and secrets.toml beside the data.

The only writer of secrets.toml. What the files mean stands in `bridge.config.layers`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import tomli_w

from bridge.config.layers import Configuration, Document, Layer, resolve
from bridge.config.sections import Secret
from bridge.config.toml import LARGEST, parse
from bridge.errors import ConfigError
from bridge.storage import DataDirectory, read_kept

SEARCHED: Final = (Path("bridge.toml"), Path("/etc/smartbms/bridge.toml"))
"""Where bridge.toml is looked for when `--config` does not say."""

_SETTINGS = "settings.toml"
_SECRETS = "secrets.toml"
_SECRETS_HEADER = "# Secrets of SmartBMS Bridge. Keep this file to yourself: it is never shown, exported or logged.\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The configuration in force, and the bridge.toml it was read from (None: none was found)."""

    configuration: Configuration
    file: Path | None


def load(
    config: Path | None,
    data: Path,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] = MappingProxyType({}),
    protocols: Collection[str] | None = None,
    searched: Sequence[Path] = SEARCHED,
) -> Loaded:
    """Read all files and resolve them; raises ConfigError. Blocks on the disk, changes nothing."""
    file = config or next((path for path in searched if _exists(path)), None)
    documents = [] if file is None else [Document(layer=Layer.FILE, name=str(file), data=_read(file))]
    warnings = []
    for name, layer in ((_SETTINGS, Layer.SETTINGS), (_SECRETS, Layer.SECRETS)):
        document, warning = _read_kept(data / name, layer)
        documents += [document] if document else []
        warnings += [warning] if warning else []
    warnings += _told_secrets(data / _SECRETS)
    configuration = resolve(documents, environ=environ, overrides=overrides, protocols=protocols)
    told = replace(configuration, warnings=(*warnings, *configuration.warnings))
    return Loaded(configuration=told, file=file)


def keep_secrets(directory: DataDirectory, section: str, values: Mapping[str, str | Secret]) -> None:
    """Put `values` below `[section]` into secrets.toml; raises StorageError, or ConfigError where it is damaged."""
    path = directory.path / _SECRETS
    kept = read_kept(path, lambda data: parse(str(path), data).table)
    if kept.value is None and kept.damage is not None:
        raise kept.damage
    present = kept.value or {}
    plain = {key: value.reveal() if isinstance(value, Secret) else value for key, value in values.items()}
    merged = {**present, section: {**present.get(section, {}), **plain}}
    directory.write(_SECRETS, (_SECRETS_HEADER + tomli_w.dumps(merged)).encode())


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False  # a folder that this user may not enter holds nothing for this user


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration file {path}.", where=str(path)) from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder, not a configuration file.", where=str(path)) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", where=str(path)) from error


def _read_kept(path: Path, layer: Layer) -> tuple[Document | None, str | None]:
    """Return the file, or its last good copy with a sentence about it; where neither can be read, ConfigError."""

    def whole(data: bytes) -> bytes:
        parse(str(path), data)
        return data

    kept = read_kept(path, whole)
    if kept.value is not None:
        warning = f"{kept.damage} Its last good copy is used." if kept.damage else None
        return Document(layer=layer, name=str(path), data=kept.value), warning
    if kept.damage is not None:
        raise kept.damage
    return None, None


def _told_secrets(path: Path) -> list[str]:
    try:
        mode = path.stat().st_mode
    except OSError:
        return []
    return [f"{path} can be read by other users: run chmod 600 {path}"] if mode & 0o077 else []
