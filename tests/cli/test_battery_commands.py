"""`smartbms detect`, `read` and `decode`, run as a user runs them, against batteries played on pseudo-terminals."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from bridge.documents.reading import reading_document
from tests.rig import SMARTBMS, Emulated, emulated_battery


def smartbms(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SMARTBMS, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def battery(tmp_path: Path) -> Iterator[Emulated]:
    with emulated_battery(tmp_path, "--latency", "2") as playing:
        yield playing


def test_read_prints_the_public_object(battery: Emulated) -> None:
    done = smartbms("read", "--port", battery.port, "--json")
    assert done.returncode == 0, done.stderr
    reading = json.loads(done.stdout)
    served = {each["message"]: each["values"] for each in battery.served()}
    assert reading["voltage"] == served["pack"]["voltage"]
    assert reading["soc"] == served["pack"]["soc"]
    assert reading["cell_voltages"] == served["cell_voltages"]["cell_voltages"]
    assert reading["device"]["manufacturer"] == "Daly"
    assert reading["link"] == "ok"
    assert reading["emulated"] is False, "a pseudo-terminal is a port like any other"
    assert reading_document.__doc__


def test_read_prints_plain_lines_into_a_pipe(battery: Emulated) -> None:
    done = smartbms("read", "--port", battery.port)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines["State of charge"].endswith(" %")
    assert lines["Alarms"] == "none"
    assert lines["State of health"] == "unknown"


def test_detect_finds_the_battery_and_says_how_to_configure_it(battery: Emulated) -> None:
    done = smartbms("detect", "--port", battery.port, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["found"]
    assert [(each["port"], each["protocol"], each["baudrate"], each["host"]) for each in found] == [
        (battery.port, "daly", 9600, 0x40)
    ]
    assert 'protocol = "daly"' in smartbms("detect", "--port", battery.port).stdout


@pytest.mark.parametrize(
    ("fault", "heard", "word"),
    [
        ("silence", "nothing", "swapped"),
        ("echo", "echo", "sleeps"),
        ("corrupt=1.0", "nothing", "sleeps"),
    ],
)
def test_detect_says_in_words_what_it_heard(tmp_path: Path, fault: str, heard: str, word: str) -> None:
    with emulated_battery(tmp_path, "--fault", fault) as playing:
        done = smartbms("detect", "--port", playing.port, "--json")
    assert done.returncode == 1
    (nothing,) = json.loads(done.stdout)["nothing"]
    assert nothing["heard"] == heard
    assert word in nothing["advice"]


def test_read_of_a_sleeping_battery_says_so(tmp_path: Path) -> None:
    with emulated_battery(tmp_path, "--fault", "echo") as playing:
        done = smartbms("read", "--port", playing.port)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "sleeps" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_port_that_is_not_there_is_one_sentence() -> None:
    done = smartbms("read", "--port", "/dev/ttyUSB97", "--json")
    assert done.returncode == 1
    assert done.stderr.startswith("There is no port /dev/ttyUSB97.")
    assert "Traceback" not in done.stderr


def test_busy_port_names_who_holds_it(battery: Emulated) -> None:
    with serial.Serial(battery.port, exclusive=True):
        done = smartbms("read", "--port", battery.port)
    assert done.returncode == 1
    assert f"process {os.getpid()}" in done.stderr


@pytest.mark.needs("root")
def test_forbidden_port_names_the_group(battery: Emulated) -> None:
    device = Path(battery.port).resolve()
    os.chown(device, 65534, 65534)
    device.chmod(0o600)
    powers = "-dac_override,-dac_read_search"  # root without them is a user like any other before this file
    done = subprocess.run(
        ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}", *SMARTBMS, "read", "--port", battery.port],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "You may not open" in done.stderr
    assert "usermod -aG" in done.stderr


def test_unknown_protocol_is_wrong_use(battery: Emulated) -> None:
    done = smartbms("read", "--port", battery.port, "--protocol", "dally")
    assert done.returncode == 2
    assert "daly" in done.stderr


# Frames of the vendor's layout and of public captures; expected values written by hand.

PACK = "a5 01 90 08 02 3a 00 00 75 30 01 ed 0d"
DISCHARGING = "a50193080201019700042dfa07"
PACK_2_1 = "A5019008021400007545037889"


def test_decode_prints_one_object_a_frame() -> None:
    done = smartbms("decode", "daly", "a5409008000000000000", "00007d", *PACK.split(), "--json")
    assert done.returncode == 0, done.stderr
    request, reply = map(json.loads, done.stdout.splitlines())
    assert (request["protocol"], request["message"], request["direction"], request["ok"]) == (
        "daly", "pack", "request", True,
    )  # fmt: skip
    assert reply["direction"] == "reply"
    assert reply["values"]["voltage"] == 57.0
    assert reply["values"]["current"] == 0.0
    assert reply["values"]["soc"] == 49.3


def test_decode_uses_the_word_for_charging_of_the_same_call() -> None:
    alone = json.loads(smartbms("decode", "daly", PACK_2_1, "--json").stdout)
    together = smartbms("decode", "daly", DISCHARGING, PACK_2_1, "--json").stdout.splitlines()
    assert alone["values"]["current"] == 2.1
    assert json.loads(together[1])["values"]["current"] == -2.1


def test_decode_tells_a_wrong_checksum_and_fails() -> None:
    done = smartbms("decode", "daly", PACK[:-2] + "0e", "--json")
    assert done.returncode == 1
    (frame,) = map(json.loads, done.stdout.splitlines())
    assert frame["ok"] is False
    assert "checksum" in frame["error"]


def test_decode_of_what_is_not_hexadecimal_is_wrong_use() -> None:
    done = smartbms("decode", "daly", "a5 01 9g")
    assert done.returncode == 2
    assert "'g'" in done.stderr


def test_version_is_quick_to_tell() -> None:
    done = smartbms("--version")
    assert done.stdout.startswith("smartbms, version ")
