"""What the emulator says that it served is what a second decoder reads from its bytes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.battery.model import Temperature
from bridge.emulator.truth import Memory, Served, TruthFile
from bridge.errors import ConfigError
from tests.emulator import daly_sheet as sheet
from tests.emulator.memory import MemoryReader
from tests.virtual_time import in_virtual_time

COMMANDS = (0x94, 0x90, 0x91, 0x92, 0x93, 0x95, 0x96, 0x97, 0x50)


class Recorder:
    def __init__(self) -> None:
        self.served: list[Served] = []

    def note(self, served: Served) -> None:
        self.served.append(served)


def plain(value: Any) -> Any:
    """Return a served value in the form of the sheet."""
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value.value if isinstance(value, Temperature) else value


@pytest.mark.parametrize("chemistry", ["lfp", "nmc", "lto"])
@pytest.mark.parametrize("current", [-73.0, 0.0, 41.0])
def test_values_served_are_the_values_on_the_wire(chemistry: str, current: float) -> None:
    @in_virtual_time
    async def story() -> None:
        recorder = Recorder()
        reader = MemoryReader([("chemistry", chemistry), ("soc", "99.7")], witness=recorder)
        reader.battery.set_current(current)
        for command in COMMANDS * 4:
            reply = await reader.ask(sheet.request(command))
            served = recorder.served[-1]
            assert served.reply == reply
            assert served.request == sheet.request(command)
            assert served.at == reader.arrivals[-1][0]
            for key, value in sheet.decode(command, reply).items():
                assert plain(served.values[key]) == value, key

    story()


@in_virtual_time
async def test_values_on_the_wire_are_those_of_the_pack_within_the_wires_resolution() -> None:
    reader = MemoryReader()
    reader.battery.set_current(-33.0)
    reply = await reader.ask(sheet.request(0x90), 0.05)
    cells = sheet.decode(0x95, await reader.ask(sheet.request(0x95), 0.12))["cell_voltages"]

    values = reader.battery.values()
    pack = sheet.decode(0x90, reply)

    assert pack["voltage"] == pytest.approx(values["voltage"], abs=0.05001)
    assert pack["current"] == pytest.approx(values["current"], abs=0.05001)
    assert pack["soc"] == pytest.approx(values["soc"], abs=0.05001)
    assert cells == pytest.approx(list(values["cell_voltages"]), abs=1e-9)
    assert pack["voltage"] == pytest.approx(sum(cells), abs=0.06)


@in_virtual_time
async def test_faults_of_the_line_do_not_touch_the_truth() -> None:
    recorder = Recorder()
    reader = MemoryReader([("fault", "drop=0.05")], witness=recorder)

    for _ in range(30):
        await reader.ask(sheet.request(0x95))

    assert recorder.served
    for served in recorder.served:
        assert len(sheet.decode(0x95, served.reply)["cell_voltages"]) == 16
        assert served.faults == ("drop",)


@in_virtual_time
async def test_wrong_answers_and_echoes_count_as_no_value() -> None:
    memory = Memory()
    reader = MemoryReader([("fault", "wrong=1")], witness=memory)
    for _ in range(20):
        await reader.ask(sheet.request(0x90))
    reader.battery.faults.set("wrong", 0)
    reader.battery.faults.set("echo")
    await reader.ask(sheet.request(0x90))

    assert memory.values == {}


@in_virtual_time
async def test_memory_knows_every_value_that_was_served_and_no_other() -> None:
    memory = Memory()
    reader = MemoryReader(witness=memory)
    seen: list[dict[str, Any]] = []
    for _ in range(20):
        await asyncio.sleep(1)
        seen.append(sheet.decode(0x90, await reader.ask(sheet.request(0x90))))
    cells = tuple(sheet.decode(0x95, await reader.ask(sheet.request(0x95)))["cell_voltages"])

    assert memory.values["voltage"] == {each["voltage"] for each in seen}
    assert memory.unknown("current", seen[0]["current"]) == ()
    assert memory.unknown("current", 999.9) == ("current",)
    assert memory.unknown("cell_voltages", cells) == ()
    assert memory.unknown("cell_voltages", (*cells[:3], 9.999, *cells[4:])) == ("cell_voltages.4",)
    assert memory.unknown("temperatures", (Temperature(name="sensor_1", value=99),)) == ("temperatures.sensor_1",)


@in_virtual_time
async def test_file_has_one_object_for_each_answer(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with TruthFile(path, wall_offset=1.8e9) as truth:
        reader = MemoryReader(witness=truth)
        replies = [await reader.ask(sheet.request(command)) for command in (0x90, 0x95, 0x96, 0x98)]
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]  # flushed at once

    assert [line["message"] for line in lines] == ["pack", "cell_voltages", "temperatures", "alarms"]
    assert [bytes.fromhex(line["reply"]) for line in lines] == replies
    assert lines[0]["values"].items() >= sheet.decode(0x90, replies[0]).items()
    assert lines[1]["values"]["cell_voltages"] == sheet.decode(0x95, replies[1])["cell_voltages"]
    warmth = [each["value"] for each in lines[2]["values"]["temperatures"]]
    assert warmth == sheet.decode(0x96, replies[2])["temperatures"]
    assert lines[3]["time"] == pytest.approx(1.8e9 + lines[3]["monotonic"])
    assert lines[3]["monotonic"] > lines[0]["monotonic"]


def test_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be written: Is a directory\.$"):
        TruthFile(tmp_path, wall_offset=0.0)
