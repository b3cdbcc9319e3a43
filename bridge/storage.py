"""The data directory: which one it is, held by one bridge alone, written so that a power cut leaves whole files.

A file is replaced by writing a new one beside it, making that durable, renaming it, and making the rename durable. Next
to each file that must survive stands a copy, `<name>.last-good`, that is read where the file is damaged. Everything
here blocks on the disk: call it off the event loop. Knows nothing of what the settings mean.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import msgspec

from bridge.errors import ConfigError, StorageError

_LOGGER = logging.getLogger(__name__)

SYSTEM_DIRECTORY: Final = Path("/var/lib/smartbms")
COPY_SUFFIX: Final = ".last-good"
_DISK_TROUBLE: Final = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
_IDENTITY = "identity.json"
_RUN = "run.json"
_T = TypeVar("_T")


def choose_directory(
    explicit: Path | None, environ: Mapping[str, str], *, system: Path = SYSTEM_DIRECTORY
) -> Path:
    """Return the data directory: `--data`, $SMARTBMS_DATA, the system's where it is writable, else the user's own."""
    if explicit is not None:
        return explicit
    if environ.get("SMARTBMS_DATA"):
        return Path(environ["SMARTBMS_DATA"])
    if os.access(system, os.W_OK | os.X_OK, effective_ids=True) and system.is_dir():
        return system
    home = environ.get("HOME")
    if not home:
        raise ConfigError("There is no place to keep data: HOME is not set.", advice="Name a directory with --data.")
    return Path(home) / ".local" / "share" / "smartbms"


class Disk(Protocol):
    """What writing a file needs of the operating system; the module `os` is one."""

    def open(self, path: Path, flags: int, mode: int = ..., /) -> int:
        """Open a file or directory."""
        ...

    def write(self, descriptor: int, data: bytes, /) -> int:
        """Write some of `data` and return how much."""
        ...

    def fsync(self, descriptor: int, /) -> None:
        """Return when what was written is on the disk."""
        ...

    def close(self, descriptor: int, /) -> None:
        """Close a file or directory."""
        ...

    def replace(self, source: Path, target: Path, /) -> None:
        """Rename a file over another in one step."""
        ...

    def unlink(self, path: Path, /) -> None:
        """Remove a file."""
        ...


def write_whole(path: Path, data: bytes, *, disk: Disk = os) -> None:
    """Put `data` into `path`, for its owner's eyes alone: after a cut at any moment it holds the old or the new, whole.

    Raises StorageError, and leaves the old content. Only one writer at a time.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        try:
            _write_durably(fresh, data, disk)
            disk.replace(fresh, path)
        except OSError:
            with contextlib.suppress(OSError):
                disk.unlink(fresh)  # a full disk needs the room
            raise
        _sync_directory(path.parent, disk)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error


def _write_durably(path: Path, data: bytes, disk: Disk) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = disk.open(path, flags, 0o600)
    try:
        rest = data
        while rest:
            rest = rest[disk.write(descriptor, rest):]
        disk.fsync(descriptor)
    finally:
        disk.close(descriptor)


def _sync_directory(directory: Path, disk: Disk) -> None:
    descriptor = disk.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, 0)
    try:
        disk.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such thing
            raise
    finally:
        disk.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[_T]):
    """What a file with a copy holds."""

    value: _T | None
    """None where neither file nor copy can be used."""
    damage: ConfigError | None = None
    """What is wrong with the file itself; None where it is fine, or neither it nor a copy exists."""


def read_kept(path: Path, parse: Callable[[bytes], _T]) -> Kept[_T]:
    """Read `path`, or its last good copy where it is damaged or gone; `parse` raises ConfigError for damage."""
    copy = path.with_name(path.name + COPY_SUFFIX)
    try:
        data = _read(path)
        if not data and copy.exists():  # we never write an empty file; a power cut does
            raise ConfigError(f"{path} is empty.", where=str(path))
        return Kept(value=parse(data))
    except FileNotFoundError:
        damage = ConfigError(f"{path} is missing.", where=str(path)) if copy.exists() else None
    except ConfigError as error:
        damage = error
    try:
        return Kept(value=parse(_read(copy)), damage=damage)
    except (FileNotFoundError, ConfigError):
        return Kept(value=None, damage=damage)


def _read(path: Path) -> bytes:
    """Return the content of `path`; FileNotFoundError passes, everything else is a ConfigError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", where=str(path)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptIdentity:
    """Who this bridge is, as `identity.json` remembers it."""

    uid: str
    """8 hex digits."""
    mqtt_name: str | None = None
    """The name used on the broker where another bridge has `bridge.name` there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """How a process of the bridge ran, as `run.json` tells others and the next start."""

    pid: int
    version: str
    started: float | None = None
    """Unix seconds; None while the clock was not set."""
    boot: str | None = None
    """The kernel's id of this boot."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """The ports really used, by service name."""
    stopped: bool = False
    """Whether it came to an orderly end."""


def restart_reason(previous: RunRecord | None, boot: str | None) -> str:
    """Say why the bridge starts now, from the record of the run before and the id of this boot."""
    if previous is None:
        return "first start"
    if boot is not None and previous.boot == boot:
        return "stopped cleanly" if previous.stopped else "killed"
    return "boot" if previous.stopped else "crash or power cut"


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str | None:
    """Return the kernel's id of this boot, where it tells."""
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


class DataDirectory:
    """The open data directory. Entering makes it and takes its lock; raises ConfigError where that cannot be."""

    def __init__(self, path: Path, *, make_uid: Callable[[], str] = lambda: secrets.token_hex(4)) -> None:
        self.path = path
        self._make_uid = make_uid
        self._turn = threading.Lock()
        self._lock: int | None = None
        self._made: dict[str, Any] | None = None
        """The identity of this run alone, where the disk would not keep it."""

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in _DISK_TROUBLE:
                _LOGGER.warning(
                    "The data directory %s cannot be written (%s): the bridge runs, and remembers nothing",
                    self.path, error.strerror,
                )  # fmt: skip
                return self
            raise ConfigError(
                f"The data directory {self.path} cannot be used: {error.strerror}.", where=str(self.path),
                advice="Name another with --data, or give this one to the user who runs the bridge.",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise self._locked(error) from error
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write(self, name: str, data: bytes) -> None:
        """Put `data` into the file `name` and its last good copy; raises StorageError and keeps the old content."""
        with self._turn:
            self._write(name, data)

    def identity(self) -> KeptIdentity:
        """Return who this bridge is; made, kept and told in the log when there is nothing to go by."""
        with self._turn:
            return self._identity(self._identity_fields())

    def remember_mqtt_name(self, name: str | None) -> None:
        """Keep the name that is used on the broker; None: `bridge.name` itself."""
        with self._turn:
            fields = self._identity_fields()
            if fields.get("mqtt_name") != name:
                self._write(_IDENTITY, _json({**fields, "mqtt_name": name}))

    def previous_run(self) -> RunRecord | None:
        """Return the record of the run before this one; None at the first start. Ask before `record_run`."""
        try:
            return msgspec.json.decode(_read(self.path / _RUN), type=RunRecord)
        except FileNotFoundError:
            return None
        except (ConfigError, msgspec.DecodeError):
            return RunRecord(pid=0, version="")  # it ran, and came to no orderly end

    def record_run(self, record: RunRecord) -> None:
        """Write down how this run is doing."""
        with self._turn:
            write_whole(self.path / _RUN, _json(record))

    def _write(self, name: str, data: bytes) -> None:
        write_whole(self.path / (name + COPY_SUFFIX), data)
        write_whole(self.path / name, data)

    def _identity_fields(self) -> dict[str, Any]:
        """Return what identity.json holds, also keys of later versions; makes it where there is nothing to go by."""
        if self._made is not None:
            return self._made
        path = self.path / _IDENTITY
        kept = read_kept(path, lambda data: _parse_identity(path, data))
        if kept.value is not None and kept.damage is None:
            return kept.value
        if kept.value is not None:
            _LOGGER.warning("%s Its last good copy is used.", kept.damage)
            with contextlib.suppress(StorageError):  # the copy does for now
                self._write(_IDENTITY, _json(kept.value))
            return kept.value
        if kept.damage is not None:
            _LOGGER.warning("%s So the bridge gets a new identity: Home Assistant will show new devices.", kept.damage)
        fields = {"uid": self._make_uid(), "mqtt_name": None}
        try:
            self._write(_IDENTITY, _json(fields))
        except StorageError as error:
            _LOGGER.warning("%s The bridge has another identity after the next start.", error)
            self._made = fields
        return fields

    @staticmethod
    def _identity(fields: dict[str, Any]) -> KeptIdentity:
        return KeptIdentity(uid=fields["uid"], mqtt_name=fields.get("mqtt_name"))

    def _locked(self, error: OSError) -> ConfigError:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return ConfigError(
                f"The data directory {self.path} cannot be locked: {error.strerror}.", where=str(self.path),
                advice="Name another with --data.",
            )
        holder = self.previous_run()
        who = f" (process {holder.pid})" if holder is not None and holder.pid and not holder.stopped else ""
        return ConfigError(
            f"Another bridge{who} is running with the data directory {self.path}.", where=str(self.path),
            advice="Stop it, or give this one its own with --data.",
        )


def _parse_identity(path: Path, data: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is damaged: {error}.", where=str(path)) from error
    name = fields.get("mqtt_name")
    if not re.fullmatch("[0-9a-f]{8}", str(fields.get("uid"))) or not isinstance(name, str | None):
        raise ConfigError(f"{path} is damaged: it has no uid of 8 hex digits.", where=str(path))
    return fields


def _json(content: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"
