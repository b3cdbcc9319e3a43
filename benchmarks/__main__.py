"""`make bench`: measures speed and size and prints one table; nothing here passes or fails by time.

    python -m benchmarks [poll latency start memory cpu scale] [--seconds N]

Broker and emulator run in processes of their own. An absolute time says little on a busy machine: the poll is given as
a ratio to the wire's own limit, measured by the emulator, in the same run.
"""

from __future__ import annotations

import argparse
import bisect
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from tests.rig import (
    Bridge,
    Emulated,
    Missing,
    Subscriber,
    bridge,
    cpu_share,
    emulated_battery,
    mosquitto,
    process,
    wait_until,
)

LATENCY = 0.005
"""s from a request's last byte to the reply's first, as the emulator is told."""
BYTE = 10 / 9600
"""s that a byte takes on the wire."""
MANY = 256

Row = tuple[str, str, str]
"""What, measured, aim."""


def _configuration(port: str, broker: int, *, interval: float) -> str:
    return (
        f'[[battery]]\nid = "main"\nport = "{port}"\nprotocol = "daly"\npoll_interval = {interval}\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker}"\n[web]\nport = 0\n'
    )


@contextmanager
def _one_battery(interval: float) -> Iterator[tuple[Emulated, Subscriber, Bridge]]:
    """Run emulator, broker, subscriber and bridge; give battery, subscriber and bridge."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            emulated_battery(folder, "--latency", str(1000 * LATENCY)) as battery,
            mosquitto(folder) as broker,
            Subscriber(broker) as subscriber,
            bridge(folder, _configuration(battery.port, broker, interval=interval)) as running,
        ):
            yield battery, subscriber, running


def measure_poll(seconds: float) -> Iterator[Row]:
    """Measure back-to-back polling against the wire's own limit, and the way from the wire to a subscriber."""
    with _one_battery(0) as (battery, subscriber, _):
        wait_until(lambda: len(subscriber.messages) > 20, "polling")
        begin = subscriber.messages[-1][0]
        wait_until(lambda: subscriber.messages[-1][0] > begin + seconds, "polling", seconds=seconds + 20)
        served = [each for each in battery.served() if each["time"] >= begin]
        arrivals = [at for at, _, _ in subscriber.messages if at >= begin]
    ends = [index for index, each in enumerate(served) if each["message"] == "pack"]
    ratios = []
    for first, last in pairwise(ends):
        asked = served[first + 1 : last + 1]
        limit = sum((len(each["request"]) + len(each["reply"])) / 2 * BYTE + LATENCY for each in asked)
        ratios.append((served[last]["monotonic"] - served[first]["monotonic"]) / limit)
    yield (
        "full Daly poll ÷ the wire's limit, 16 cells",
        f"median {statistics.median(ratios):.3f}, mean {statistics.mean(ratios):.3f} ({len(ratios)} polls)",
        "≤ 1.02",
    )
    delays = sorted(_delays([served[index]["time"] for index in ends], arrivals))
    yield (
        "last byte of a cycle → MQTT subscriber",
        f"p50 {1000 * statistics.median(delays):.2f} ms, p99 {1000 * delays[int(0.99 * (len(delays) - 1))]:.2f} ms",
        "≤ 1.5 ms, ≤ 5 ms",
    )


def _delays(served: list[float], arrivals: list[float]) -> Iterator[float]:
    """Give the time from each cycle's last byte to the arrival of the message that it led to."""
    for at in served:
        index = bisect.bisect_left(arrivals, at)
        if index < len(arrivals):
            yield arrivals[index] - at


def measure_start(_seconds: float) -> Iterator[Row]:
    """Measure from the start of the process to the first reading at a subscriber, with the page answering."""
    times = []
    for _ in range(5):
        with _one_battery(1) as (_, subscriber, running):
            times.append(_first_reading(subscriber, running) - running.started)
    yield "start → first reading at a subscriber", f"median {statistics.median(times):.2f} s", "≤ 1.0 s + one poll"


def _first_reading(subscriber: Subscriber, running: Bridge) -> float:
    """Wait for the first reading and for the page; return when both were there (Unix time)."""
    wait_until(lambda: subscriber.messages, "the first reading")
    _open_page(running)
    return max(subscriber.messages[0][0], running.started)


def _open_page(running: Bridge) -> None:
    page = wait_until(lambda: running.web_port, "the page's port")
    with urllib.request.urlopen(f"http://127.0.0.1:{page}/", timeout=5) as answer:
        answer.read()


def measure_size(seconds: float) -> Iterator[Row]:
    """Measure memory with every default service, and processor time at one poll a second."""
    shipped = (Path(__file__).parent.parent / "bridge.toml").read_text()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with bridge(folder, shipped.replace("port = 6789", "port = 0")) as running:
            _open_page(running)
            cpu_share(running, seconds)
            yield "memory with every default service", f"{running.memory:.0f} MiB", "≤ 60 MiB"
    with _one_battery(1) as (_, subscriber, running):
        wait_until(lambda: len(subscriber.messages) > 3, "polling")
        yield "processor at one poll per second", f"{cpu_share(running, seconds):.2f} %", "≤ 1.5 %"


def measure_scale(seconds: float) -> Iterator[Row]:
    """Measure one bridge with many batteries, each on a pseudo-terminal, polled once a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = (sys.executable, "-m", "benchmarks.many_batteries", str(MANY))
        with (
            process(*command, log=folder / "emulators.log", stdout=subprocess.PIPE) as emulators,
            mosquitto(folder) as broker,
            Subscriber(broker) as subscriber,
        ):
            if emulators.stdout is None:
                raise TimeoutError("the emulators printed nothing")
            ports = [emulators.stdout.readline().strip() for _ in range(MANY)]
            batteries = "".join(
                f'[[battery]]\nid = "b{index}"\nport = "{port}"\nprotocol = "daly"\n'
                for index, port in enumerate(ports)
            )
            rest = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker}"\n[web]\nport = 0\n'
            with bridge(folder, batteries + rest) as running:
                wait_until(
                    lambda: len({battery for _, battery, _ in list(subscriber.messages)}) == MANY, "all batteries",
                    seconds=90, step=0.2,
                )  # fmt: skip
                cpu_share(running, 10)  # discovery and the first slow blocks
                before = len(subscriber.messages)
                share = cpu_share(running, seconds)
                rate = (len(subscriber.messages) - before) / MANY / seconds
                yield f"{MANY} batteries at 1 Hz: readings arriving", f"{100 * rate:.1f} %", "keeps up"
                yield f"{MANY} batteries at 1 Hz: processor", f"{share:.1f} % of one core", "≤ 35 %"
                yield f"{MANY} batteries at 1 Hz: memory", f"{running.memory:.0f} MiB", "≤ 90 MiB"


MEASUREMENTS: dict[str, Callable[[float], Iterator[Row]]] = {
    "poll": measure_poll, "start": measure_start, "size": measure_size, "scale": measure_scale,
}  # fmt: skip


def main() -> None:
    """Measure what is asked for and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speed and size.")
    parser.add_argument("names", nargs="*", choices=[*MEASUREMENTS, []], help="what to measure (default: all)")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each measurement")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name in arguments.names or MEASUREMENTS:
        try:
            rows += MEASUREMENTS[name](arguments.seconds)
        except Missing as missing:
            rows.append((name, f"not measured: {missing}", ""))
    widths = [max(len(row[column]) for row in [("figure", "measured", "aim"), *rows]) for column in range(3)]
    for row in [("figure", "measured", "aim"), tuple("-" * width for width in widths), *rows]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
