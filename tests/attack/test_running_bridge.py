"""A running bridge that meets one bad setting, a console that goes away, and compressed requests."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import time
from pathlib import Path

from tests import rig

_QUIET = '[mqtt]\nurl = "off"\n[mdns]\nenabled = false\n[web]\nhost = "127.0.0.1"\nport = 0\n'
_EMULATED = '[[battery]]\nid = "main"\nport = "emulated://daly"\n'


def test_address_that_a_protocol_does_not_have_leaves_the_other_batteries_running(tmp_path: Path) -> None:
    other = '[[battery]]\nid = "other"\nport = "/dev/nowhere"\naddress = 99\n'
    file = tmp_path / "bridge.toml"
    file.write_text(_QUIET + _EMULATED + other)
    check = (*rig.SMARTBMS, "config", "check", "--config", str(file))
    checked = subprocess.run(check, check=False, capture_output=True)
    if checked.returncode == 0:  # a configuration that is called fine has to start
        with rig.bridge(tmp_path, file.read_text()) as running:
            rig.wait_until(lambda: (running.get("/api/batteries/main") or {}).get("link") == "ok", "the other battery")


def test_run_record_tells_the_ports_when_nobody_reads_the_console(tmp_path: Path) -> None:
    file, data = tmp_path / "bridge.toml", tmp_path / "data"
    file.write_text(_QUIET + _EMULATED)
    read, write = os.pipe()
    os.close(read)
    command = (*rig.SMARTBMS, "run", "--config", str(file), "--data", str(data))
    with (tmp_path / "errors").open("w") as errors, rig.process(
        *command, log=tmp_path / "unused", stdout=write, stderr=errors
    ) as process:
        os.close(write)
        running = rig.Bridge(process=process, data=data, started=time.time())
        rig.wait_until(lambda: running.web_port, "the pages")
        rig.wait_until(lambda: running.get("/api/health"), "the health")
        time_over = time.monotonic() + 3
        while time.monotonic() < time_over:
            record = json.loads((data / "run.json").read_text())
            assert not record["stopped"]
            time.sleep(0.05)
    assert "Traceback" not in (tmp_path / "errors").read_text()


def test_compressed_body_costs_no_more_than_its_bytes(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(400_000_000))
    head = (
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    ).encode()
    with rig.bridge(tmp_path, _QUIET + _EMULATED) as running:
        rig.wait_until(lambda: running.get("/api/health"), "the pages")
        before = running.cpu_seconds
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", running.web_port or 0), timeout=10) as visitor:
                visitor.sendall(head)
                try:
                    visitor.sendall(bomb)
                    while visitor.recv(65536):
                        pass
                except OSError:
                    pass  # it may hang up on such a visitor
        assert running.cpu_seconds - before < 0.7
