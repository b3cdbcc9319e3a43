"""`smartbms config check` and `show`, as a user calls them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.config.layers import Document, Layer, resolve

FILE = """\
[[battery]]
id = "main"
name = "Küche \\"1\\""
port = "/dev/ttyUSB0"
[web]
home_networks = ["10.8.0.0/24", "10.9.0.0/24"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(frozen=True)
class Ended:
    exit_code: int
    stdout: str
    stderr: str


class Smartbms:
    """The command line, called in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str, **environ: str) -> Ended:
        with self._monkeypatch.context() as changed:
            for name, value in environ.items():
                changed.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(["config", *arguments])
        printed = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(exit_code=ended.value.code, stdout=printed.out, stderr=printed.err)


@pytest.fixture
def smartbms(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smartbms:
    monkeypatch.setenv("SMARTBMS_DATA", "data")
    return Smartbms(monkeypatch, capsys)


def test_check_says_fine_and_what_will_run(folder: Path, smartbms: Smartbms) -> None:
    (folder / "bridge.toml").write_text(FILE)
    result = smartbms("check")
    assert result.exit_code == 0
    assert result.stdout == "bridge.toml is fine: battery main; MQTT embedded; pages on port 6789.\n"


def test_check_lists_every_problem_on_standard_error_and_exits_with_2(folder: Path, smartbms: Smartbms) -> None:
    (folder / "mine.toml").write_text("[mqtt]\nulr = 'off'\n[web]\nport = 80\n")
    result = smartbms("check", "--config", "mine.toml")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == ["mine.toml line 2", "mine.toml line 4"]


def test_check_knows_the_protocols_of_this_version(folder: Path, smartbms: Smartbms) -> None:
    (folder / "bridge.toml").write_text(FILE.replace("[web]", 'protocol = "dally"\n[web]'))
    result = smartbms("check")
    assert (result.exit_code, result.stderr) == (
        2, 'bridge.toml line 5: battery.main.protocol = "dally": did you mean "daly"?\n',
    )


def test_check_without_any_battery_is_fine_and_says_how_to_add_one(folder: Path, smartbms: Smartbms) -> None:
    (folder / "bridge.toml").write_text("")
    result = smartbms("check")
    assert result.exit_code == 0
    assert result.stdout.startswith("Note: No battery is configured: add [[battery]]")


def test_show_is_toml_that_means_the_same(folder: Path, smartbms: Smartbms) -> None:
    (folder / "bridge.toml").write_text(FILE)
    for arguments in (["show"], ["show", "--changed"]):
        shown = smartbms(*arguments).stdout.encode()
        again = resolve([Document(layer=Layer.FILE, name="again", data=shown)])
        first = resolve([Document(layer=Layer.FILE, name="first", data=FILE.encode())])
        assert again.settings == first.settings


def test_show_changed_lists_only_what_differs_with_its_place(folder: Path, smartbms: Smartbms) -> None:
    (folder / "bridge.toml").write_text(FILE)
    (folder / "data").mkdir()
    (folder / "data" / "settings.toml").write_text("[mdns]\nenabled = false\n")
    lines = smartbms("show", "--changed", SMARTBMS__MQTT__URL="off").stdout.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "[[battery]]",
        'id = "main" # bridge.toml line 2',
        'name = "Küche \\"1\\"" # bridge.toml line 3',
        'port = "/dev/ttyUSB0" # bridge.toml line 4',
        "",
        "[mqtt]",
        'url = "off" # environment variable SMARTBMS__MQTT__URL',
        "",
        "[web]",
        'home_networks = ["10.8.0.0/24", "10.9.0.0/24"] # bridge.toml line 6',
        "",
        "[mdns]",
        "enabled = false # data/settings.toml line 2",
    ]


def test_show_changed_of_the_defaults_says_that_nothing_differs(folder: Path, smartbms: Smartbms) -> None:
    assert smartbms("show", "--changed").stdout == "# Nothing differs from the defaults.\n"


def test_show_json_has_value_and_origin_of_every_key(folder: Path, smartbms: Smartbms) -> None:
    (folder / "bridge.toml").write_text(FILE)
    shown = json.loads(smartbms("show", "--json").stdout)
    assert shown["battery.main.port"] == {"value": "/dev/ttyUSB0", "origin": "bridge.toml line 4", "layer": "file"}
    assert shown["battery.main.address"] == {"value": None, "origin": "default", "layer": "default"}
    assert shown["web.home_networks"]["value"] == ["10.8.0.0/24", "10.9.0.0/24"]


@pytest.mark.parametrize("arguments", [["show"], ["show", "--changed"], ["show", "--json"], ["check"]])
def test_no_command_shows_a_secret(folder: Path, smartbms: Smartbms, arguments: list[str]) -> None:
    result = smartbms(*arguments, SMARTBMS__MQTT__PASSWORD="hunter2")
    assert result.exit_code == 0
    assert "hunter2" not in result.stdout + result.stderr
    assert ("***" in result.stdout) == (arguments[0] == "show")
