"""Run by a test: kill -9 a writer before and after each call into the system, and look at what it left.

    python killed_at_every_step.py DIRECTORY

Prints how many writers were killed; fails with what was found where it is neither the old content nor the new.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from bridge.storage import COPY_SUFFIX, DataDirectory

OLD = b"old = 1\n" * 100
NEW = b"new = 22\n" * 200


def main(path: Path) -> None:
    step = 0
    while True:
        with DataDirectory(path) as directory:
            directory.write("settings.toml", OLD)
            uid = directory.identity().uid
        step += 1
        writer = os.fork()
        if writer == 0:
            write_until_killed(path, step)
        _, status = os.waitpid(writer, 0)
        found = [(path / name).read_bytes() for name in ("settings.toml", f"settings.toml{COPY_SUFFIX}")]
        if not set(found) <= {OLD, NEW}:
            sys.exit(f"step {step}: {found}")
        with DataDirectory(path) as directory:
            if directory.identity().uid != uid:
                sys.exit(f"step {step}: another uid")
        if os.WIFEXITED(status):
            break
    if found != [NEW, NEW] or os.WEXITSTATUS(status):
        sys.exit(f"the last one was not killed, yet left {found}")
    sys.stdout.write(f"{step - 1}\n")


def write_until_killed(path: Path, step: int) -> None:
    """Write NEW, and a name into the identity, and be killed at the given step."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("c_call", "c_return")
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)

    with DataDirectory(path) as directory:
        sys.setprofile(count)
        directory.write("settings.toml", NEW)
        directory.remember_mqtt_name(f"name-{step}")
        sys.setprofile(None)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
