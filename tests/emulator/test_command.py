"""`smartbms emulate` as a program."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.emulator import daly_sheet as sheet

PROGRAM = (sys.executable, "-c", "from bridge.cli import main; main()", "emulate")
ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 15.0

Start = Callable[..., "Running"]


class Running:
    """The program, started, with the device path that it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.path = self.line()

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def order(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, command: int, patience: float = PATIENCE) -> bytes:
        """Return the reply to a command, or what came of it in time."""
        fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(fd, sheet.request(command))
            reply, limit = b"", time.monotonic() + patience
            while len(reply) < sheet.length(command) and (left := limit - time.monotonic()) > 0:
                if select.select([fd], [], [], left)[0]:
                    reply += os.read(fd, 4096)
            return reply
        finally:
            os.close(fd)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end: only for what ends at once."""
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a function that starts the program; what still runs is ended."""
    started: list[subprocess.Popen[str]] = []

    def start_it(*arguments: str) -> Running:
        process = subprocess.Popen(
            [*PROGRAM, *arguments], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return Running(process)

    yield start_it
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_first_line_is_a_device_that_answers(start: Start) -> None:
    running = start("daly", "--cells", "8", "--latency", "1", "--seed", "3")

    assert running.path.startswith("/dev/pts/")
    assert sheet.decode(0x94, running.ask(0x94))["cell_count"] == 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly_and_removes_the_link(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    link = tmp_path / "bms"
    running = start("daly", "--link", str(link))
    assert str(link.readlink()) == running.path

    assert running.end(number) == 0

    assert list(tmp_path.iterdir()) == []
    assert running.process.stderr is not None
    assert running.process.stderr.read() == ""


def test_orders_on_the_standard_input_change_what_happens(start: Start) -> None:
    running = start("daly", "--latency", "1")

    running.order("current -20")
    running.order("soc 50")
    running.order("nonsense")
    assert running.process.stderr is not None
    assert running.process.stderr.readline().startswith('"nonsense" is no order.')

    values = sheet.decode(0x90, running.ask(0x90))
    assert values["current"] == pytest.approx(-20, abs=0.2)
    assert values["soc"] == pytest.approx(50, abs=0.1)


def test_unplugging_by_order_prints_the_new_path_when_it_returns(start: Start, tmp_path: Path) -> None:
    link = tmp_path / "bms"
    running = start("daly", "--latency", "1", "--link", str(link))

    running.order("fault unplug=0.1")
    running.path = running.line()

    assert str(link.readlink()) == running.path
    assert sheet.decode(0x90, running.ask(0x90))


def test_it_runs_on_without_a_standard_input(start: Start) -> None:
    running = start("daly", "--latency", "1")
    assert running.process.stdin is not None
    running.process.stdin.close()
    running.process.stdin = None

    for _ in range(3):
        assert sheet.decode(0x90, running.ask(0x90))
    assert running.end() == 0


def test_ground_truth_holds_what_was_served(start: Start, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    running = start("daly", "--latency", "1", "--ground-truth", str(truth))
    begin = time.time()

    replies = [running.ask(command) for command in (0x90, 0x95)]

    assert running.end() == 0
    lines = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
    assert [bytes.fromhex(line["reply"]) for line in lines] == replies
    assert begin <= lines[0]["time"] < lines[1]["time"] <= time.time()
    assert lines[0]["monotonic"] < lines[1]["monotonic"] <= time.monotonic()


def test_scenario_and_faults_are_played(start: Start, tmp_path: Path) -> None:
    scenario = tmp_path / "story.toml"
    scenario.write_text("[[step]]\nat = 0\nsoc = 33\ncurrent = 7\n")

    running = start(
        "daly", "--scenario", str(scenario), "--fault", "junk=5", "--set", "frame_origin=0", "--latency", "1"
    )

    junk_and_reply = running.ask(0x90)
    assert len(junk_and_reply) >= 13
    running.order("fault none")
    values = sheet.decode(0x90, running.ask(0x90))
    assert (values["soc"], values["current"]) == (33.0, pytest.approx(7, abs=0.1))
    assert sheet.frames(running.ask(0x95), 0x95)[0][0] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["dayl"], "There is no protocol 'dayl'. Known protocols: "),
        (["daly", "--cells", "many"], '"cells" of an emulated battery must be a whole number from 1 to 255'),
        (["daly", "--fault", "corupt=1"], 'There is no fault "corupt". Did you mean "corrupt"?'),
        (["daly", "--scenario", "/no.toml"], "The scenario /no.toml cannot be read: No such file or directory."),
        (["daly", "--set", "paded=1"], 'An emulated battery has no setting "paded". Did you mean "padded"?'),
        (["daly", "--link", "/nowhere/bms"], "The link /nowhere/bms cannot be made: No such file or directory."),
    ],
)
def test_mistake_on_the_command_line_is_one_sentence_and_exit_code_two(arguments: list[str], sentence: str) -> None:
    ended = run(*arguments)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(sentence)
    assert len(ended.stderr.splitlines()) == 1
