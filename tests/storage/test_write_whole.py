"""A cut of the power at any moment of a write leaves the old content or the new, whole; so does a full disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import StorageError
from bridge.storage import Disk, write_whole

PATH = Path("/data/settings.toml")


class PowerCut(BaseException):
    """The power fails now."""


@dataclass
class Inode:
    data: bytes = b""
    durable: bytes | None = None
    """What is surely on the medium; None where nothing was made durable yet."""

    def after_a_cut(self) -> set[bytes]:
        """What may be found: what was made durable, or any part of what was not yet."""
        if self.durable == self.data:
            return {self.data}
        return {self.data[:length] for length in range(len(self.data) + 1)} | {self.durable or b""}


@dataclass
class CuttableDisk:
    """A disk that keeps nothing for sure but what was made durable, and whose power fails before a given step."""

    cut_before: int | None = None
    names: dict[Path, Inode] = field(default_factory=dict)
    renames: list[tuple[Path, Path]] = field(default_factory=list)
    """Renames not yet durable: after a cut any first few of them happened."""
    before_renames: dict[Path, Inode] = field(default_factory=dict)
    steps: int = 0
    _open: dict[int, Inode | None] = field(default_factory=dict)

    def _step(self) -> None:
        if self.steps == self.cut_before:
            raise PowerCut
        self.steps += 1

    def open(self, path: Path, flags: int, mode: int = 0o777, /) -> int:
        self._step()
        descriptor = len(self._open) + 3
        if flags & os.O_DIRECTORY:
            self._open[descriptor] = None
        else:
            assert flags & os.O_CREAT
            assert mode == 0o600
            self._open[descriptor] = self.names[path] = Inode()
        return descriptor

    def write(self, descriptor: int, data: bytes, /) -> int:
        self._step()
        inode = self._open[descriptor]
        assert inode is not None
        inode.data += data[:5]
        return len(data[:5])

    def fsync(self, descriptor: int, /) -> None:
        self._step()
        inode = self._open[descriptor]
        if inode is None:
            self.renames.clear()
        else:
            inode.durable = inode.data

    def close(self, descriptor: int, /) -> None:
        self._step()

    def replace(self, source: Path, target: Path, /) -> None:
        self._step()
        if not self.renames:
            self.before_renames = dict(self.names)
        self.renames.append((source, target))
        self.names[target] = self.names.pop(source)

    def unlink(self, path: Path, /) -> None:
        self._step()
        del self.names[path]

    def found_after_a_cut(self, path: Path) -> set[bytes | None]:
        """Everything that a reader may find in `path` when the power is back."""
        found: set[bytes | None] = set()
        for names in self._directories():
            found |= names[path].after_a_cut() if path in names else {None}
        return found

    def _directories(self) -> Iterator[dict[Path, Inode]]:
        yield self.names
        names = dict(self.before_renames)
        for source, target in self.renames:
            yield dict(names)
            names[target] = names.pop(source)


def disk_with(old: bytes | None, *, cut_before: int | None = None) -> CuttableDisk:
    disk = CuttableDisk(cut_before=cut_before)
    if old is not None:
        disk.names[PATH] = Inode(data=old, durable=old)
    return disk


def steps_of(old: bytes | None, new: bytes) -> int:
    disk = disk_with(old)
    write_whole(PATH, new, disk=disk)
    return disk.steps


@pytest.mark.parametrize("old", [None, b"old content"])
def test_power_cut_before_any_step_leaves_the_old_or_the_new_whole(old: bytes | None) -> None:
    new = b"the new content, longer"
    for step in range(steps_of(old, new)):
        disk = disk_with(old, cut_before=step)
        with pytest.raises(PowerCut):
            write_whole(PATH, new, disk=disk)
        assert disk.found_after_a_cut(PATH) <= {old, new}, step


def test_written_is_written_when_the_call_returns() -> None:
    disk = disk_with(b"old")
    write_whole(PATH, b"new", disk=disk)
    assert disk.found_after_a_cut(PATH) == {b"new"}


def test_write_after_a_cut_write_is_as_safe() -> None:
    for step in range(steps_of(b"old", b"half written")):
        disk = disk_with(b"old", cut_before=step)
        with pytest.raises(PowerCut):
            write_whole(PATH, b"half written", disk=disk)
        disk.cut_before = None
        write_whole(PATH, b"new", disk=disk)
        assert disk.found_after_a_cut(PATH) == {b"new"}


def test_the_model_of_the_disk_finds_a_write_that_is_not_safe() -> None:
    disk = disk_with(b"old")
    descriptor = disk.open(PATH.with_name("temporary"), os.O_CREAT, 0o600)
    disk.write(descriptor, b"new")
    disk.replace(PATH.with_name("temporary"), PATH)
    assert disk.found_after_a_cut(PATH) == {b"old", b"", b"n", b"ne", b"new"}


class FailingDisk:
    """The real disk, on which one kind of step fails."""

    def __init__(self, step: str, error: int) -> None:
        self._step = step
        self._error = error

    def __getattr__(self, name: str) -> object:
        if name == self._step:
            return self._fail
        return getattr(os, name)

    def _fail(self, *_: object) -> None:
        raise OSError(self._error, os.strerror(self._error))


@pytest.mark.parametrize(
    ("step", "error", "sentence"),
    [
        ("write", errno.ENOSPC, "No space left on device"), ("fsync", errno.EIO, "Input/output error"),
        ("open", errno.EROFS, "Read-only file system"), ("replace", errno.EACCES, "Permission denied"),
    ],
)
def test_failing_disk_leaves_the_old_content_and_no_rubbish(
    tmp_path: Path, step: str, error: int, sentence: str
) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"old")
    disk: Disk = FailingDisk(step, error)  # type: ignore[assignment]  # has what `os` has, by __getattr__
    with pytest.raises(StorageError) as caught:
        write_whole(path, b"new", disk=disk)
    assert str(caught.value) == f"{path} cannot be written: {sentence}."
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"settings.toml": b"old"}


@given(st.binary(max_size=64))
def test_what_was_written_is_read(data: bytes) -> None:
    disk = disk_with(b"old")
    write_whole(PATH, data, disk=disk)
    assert disk.found_after_a_cut(PATH) == {data}


def test_large_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    write_whole(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
