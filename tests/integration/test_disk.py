"""A disk that takes nothing: what can run runs, and says that nothing is kept."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rig import bridge, wait_until

_SETTINGS = (
    '[[battery]]\nid = "main"\nport = "emulated://daly"\n[mqtt]\nurl = "off"\n[mdns]\nenabled = false\n'
    '[web]\nhost = "127.0.0.1"\nport = 0\n'
)


def fill(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(file, bytes(1024)):
            pass
    os.close(file)


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(folder)], check=True)
    try:
        for option in options:
            subprocess.run(["mount", "-o", option, str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)



@pytest.mark.needs("root")
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_bridge_reads_and_serves_where_nothing_can_be_kept(tmp_path: Path, trouble: str) -> None:
    data = tmp_path / "data"
    with small_disk(data, *(["remount,ro"] if trouble == "read-only" else [])):
        if trouble == "full":
            fill(data / "filler")
        with bridge(tmp_path, _SETTINGS) as running:
            wait_until(lambda: "The pages are served on port" in running.log, "the pages")
            wait_until(lambda: "the battery is heard" in running.log, "the battery")
            assert "Traceback" not in running.log
        assert "nothing" in running.log or "another identity" in running.log
