"""The data directory: which one, held by one bridge alone, and what it remembers through damage and kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.storage import DataDirectory, KeptIdentity, RunRecord, boot_id, choose_directory, restart_reason

ROOT = Path(__file__).parents[2]


def numbered_uids() -> Iterator[str]:
    return (f"{number:08x}" for number in count(1))


@contextmanager
def opened(path: Path, uids: Iterator[str] | None = None) -> Iterator[DataDirectory]:
    made = uids or numbered_uids()
    with DataDirectory(path, make_uid=lambda: next(made)) as directory:
        yield directory


# -- which one


def test_directory_is_the_named_one_then_the_variable_then_the_systems_then_the_users(tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.mkdir()
    environ = {"SMARTBMS_DATA": "/from/variable", "HOME": "/home/me"}
    assert choose_directory(Path("/named"), environ, system=system) == Path("/named")
    assert choose_directory(None, environ, system=system) == Path("/from/variable")
    assert choose_directory(None, {"HOME": "/home/me"}, system=system) == system
    assert choose_directory(None, {"HOME": "/home/me"}, system=tmp_path / "missing") == Path(
        "/home/me/.local/share/smartbms"
    )


def test_systems_directory_that_is_not_writable_is_passed_over() -> None:
    own = os.geteuid()
    os.seteuid(65534 if own == 0 else own)  # root may write anywhere
    try:
        chosen = choose_directory(None, {"HOME": "/home/me"}, system=Path("/etc"))
    finally:
        os.seteuid(own)
    assert chosen == Path("/home/me/.local/share/smartbms")


def test_no_home_and_no_directory_is_told() -> None:
    with pytest.raises(ConfigError, match="Name a directory with --data"):
        choose_directory(None, {}, system=Path("/missing"))


def test_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_directory_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught, opened(tmp_path / "file" / "data"):
        pass
    assert str(caught.value) == (
        f"The data directory {tmp_path}/file/data cannot be used: Not a directory. "
        "Name another with --data, or give this one to the user who runs the bridge."
    )


# -- one bridge alone


@contextmanager
def other_bridge(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the data directory `path` until it is ended."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from bridge.storage import DataDirectory, RunRecord\n"
        "with DataDirectory(Path(sys.argv[1])) as directory:\n"
        "    directory.identity()\n"
        "    directory.record_run(RunRecord(pid=os.getpid(), version='1', boot='this boot'))\n"
        "    print('holding', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        try:
            yield process
        finally:
            process.kill()


def test_second_bridge_is_refused_and_told_which_process_holds_the_directory(tmp_path: Path) -> None:
    with other_bridge(tmp_path) as other, pytest.raises(ConfigError) as caught, opened(tmp_path):
        pass
    assert str(caught.value) == (
        f"Another bridge (process {other.pid}) is running with the data directory {tmp_path}. "
        "Stop it, or give this one its own with --data."
    )


def test_directory_of_a_killed_bridge_is_free_and_remembers_it(tmp_path: Path) -> None:
    with other_bridge(tmp_path) as other:
        uid = json.loads((tmp_path / "identity.json").read_text())["uid"]
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with opened(tmp_path) as directory:
        assert directory.identity().uid == uid
        assert restart_reason(directory.previous_run(), "this boot") == "killed"


def test_directory_is_free_again_after_leaving_it(tmp_path: Path) -> None:
    for _ in range(2):
        with opened(tmp_path):
            pass


# -- kill -9 at any moment


def test_writer_killed_at_any_step_leaves_whole_files_and_the_next_start_is_clean(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed_at_every_step.py")
    run = subprocess.run(
        [sys.executable, script, tmp_path / "data"], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True, capture_output=True, check=False, timeout=50,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert int(run.stdout) > 50


# -- identity


def test_uid_is_8_hex_digits_made_once(tmp_path: Path) -> None:
    uids = []
    for _ in range(3):
        with DataDirectory(tmp_path) as directory:
            uids.append(directory.identity().uid)
    assert len(set(uids)) == 1
    assert len(uids[0]) == 8
    assert set(uids[0]) <= set("0123456789abcdef")
    with DataDirectory(tmp_path / "other") as directory:
        assert directory.identity().uid != uids[0]


def test_mqtt_name_is_remembered_and_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path) as directory:
        assert directory.identity() == KeptIdentity(uid="00000001", mqtt_name=None)
        directory.remember_mqtt_name("smartbms-0001")
    with opened(tmp_path) as directory:
        assert directory.identity() == KeptIdentity(uid="00000001", mqtt_name="smartbms-0001")
        directory.remember_mqtt_name(None)
        assert directory.identity().mqtt_name is None


def test_what_a_later_version_remembers_survives_this_one(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text('{"uid": "0badcafe", "later": [1]}')
    with opened(tmp_path) as directory:
        directory.remember_mqtt_name("van")
    assert json.loads((tmp_path / "identity.json").read_text()) == {
        "uid": "0badcafe", "later": [1], "mqtt_name": "van",
    }


@pytest.mark.parametrize(
    "damage",
    [b"", b"\0\0\0\0", b'{"uid": "0000', b"[]", b'{"uid": "no"}', b'{"uid": "00000001", "mqtt_name": 3}', None],
)
def test_damaged_identity_comes_back_from_its_last_good_copy(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    uids = numbered_uids()
    file = tmp_path / "identity.json"
    with opened(tmp_path, uids) as directory:
        directory.identity()
    file.unlink() if damage is None else file.write_bytes(damage)
    with opened(tmp_path, uids) as directory:
        assert directory.identity().uid == "00000001"
    assert caplog.messages[0].endswith("Its last good copy is used.")
    assert json.loads(file.read_text())["uid"] == "00000001"


def test_identity_and_copy_both_damaged_give_a_new_uid_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uids = numbered_uids()
    with opened(tmp_path, uids) as directory:
        directory.identity()
    for name in ("identity.json", "identity.json.last-good"):
        (tmp_path / name).write_bytes(b"{")
    with opened(tmp_path, uids) as directory:
        assert directory.identity().uid == "00000002"
    assert "the bridge gets a new identity" in caplog.text


def test_first_start_makes_its_identity_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path) as directory:
        directory.identity()
    assert caplog.messages == []


# -- the record of a run


def test_run_is_recorded_with_its_ports(tmp_path: Path) -> None:
    record = RunRecord(pid=7, version="0.1", started=1.5, boot="b", ports={"web": 6789, "mqtt": 1883}, stopped=True)
    with opened(tmp_path) as directory:
        assert directory.previous_run() is None
        directory.record_run(record)
        assert directory.previous_run() == record
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "pid": 7, "version": "0.1", "started": 1.5, "boot": "b", "ports": {"web": 6789, "mqtt": 1883}, "stopped": True,
    }


@pytest.mark.parametrize(
    ("previous", "reason"),
    [
        (None, "first start"),
        (RunRecord(pid=1, version="1", boot="now", stopped=True), "stopped cleanly"),
        (RunRecord(pid=1, version="1", boot="now"), "killed"),
        (RunRecord(pid=1, version="1", boot="before", stopped=True), "boot"),
        (RunRecord(pid=1, version="1", boot="before"), "crash or power cut"),
    ],
)
def test_restart_reason_follows_from_the_record_and_the_boot(previous: RunRecord | None, reason: str) -> None:
    assert restart_reason(previous, "now") == reason


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b'{"pid": "x", "version": "1"}'])
def test_damaged_record_counts_as_a_power_cut(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "run.json").write_bytes(damage)
    with opened(tmp_path) as directory:
        assert restart_reason(directory.previous_run(), "now") == "crash or power cut"


def test_boot_id_is_the_kernels_or_unknown(tmp_path: Path) -> None:
    (tmp_path / "boot_id").write_text("0b1c\n")
    assert boot_id(tmp_path / "boot_id") == "0b1c"
    assert boot_id(tmp_path / "missing") is None
