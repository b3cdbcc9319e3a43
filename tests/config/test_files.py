"""Which files are read, and what happens when one of them is missing, unreadable or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config.files import Loaded, keep_secrets, load
from bridge.config.sections import Secret, Settings
from bridge.errors import ConfigError
from bridge.storage import DataDirectory


def loaded(config: Path | None, data: Path, *searched: Path) -> Loaded:
    return load(config, data, environ={}, searched=searched)


def write(path: Path, name: str) -> Path:
    path.write_text(f"[bridge]\nname = '{name}'\n[[battery]]\nid = 'a'\nport = '/dev/ttyUSB0'\n")
    return path


def test_named_file_wins_then_the_first_that_is_there_then_the_defaults(tmp_path: Path) -> None:
    here, system, named = tmp_path / "bridge.toml", tmp_path / "etc.toml", write(tmp_path / "named.toml", "named")
    found = [loaded(None, tmp_path, here, system)]
    write(system, "system")
    found.append(loaded(None, tmp_path, here, system))
    write(here, "here")
    found += [loaded(None, tmp_path, here, system), loaded(named, tmp_path, here, system)]
    assert [each.configuration.settings.bridge.name for each in found] == ["smartbms", "system", "here", "named"]
    assert [each.file for each in found] == [None, system, here, named]
    assert found[0].configuration.settings == Settings()


def test_named_file_that_is_missing_is_told_and_nothing_else_is_read_instead(tmp_path: Path) -> None:
    here = write(tmp_path / "bridge.toml", "here")
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path / "no.toml", tmp_path, here)
    assert str(caught.value) == f"There is no configuration file {tmp_path / 'no.toml'}."


def test_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").mkdir()
    with pytest.raises(ConfigError, match="is a folder, not a configuration file"):
        loaded(None, tmp_path, tmp_path / "bridge.toml")


def test_file_without_end_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/dev/zero is no configuration: it is larger than 1000 kB"):
        loaded(Path("/dev/zero"), tmp_path)


def test_settings_of_the_pages_are_read_from_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[web]\nport = 7000\n")
    assert loaded(None, tmp_path).configuration.settings.web.port == 7000


@pytest.mark.parametrize("damage", [b"", b"\0" * 20, b"[web]\nport", b"[web"])
def test_damaged_settings_are_replaced_by_their_last_good_copy_and_told(tmp_path: Path, damage: bytes) -> None:
    with DataDirectory(tmp_path) as directory:
        directory.write("settings.toml", b"[web]\nport = 7000\n")
    (tmp_path / "settings.toml").write_bytes(damage)
    configuration = loaded(None, tmp_path).configuration
    assert configuration.settings.web.port == 7000
    (warning,) = configuration.warnings
    assert warning.startswith(f"{tmp_path / 'settings.toml'}")
    assert warning.endswith("Its last good copy is used.")


def test_damaged_settings_without_a_copy_are_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[web]\nport = \n")
    with pytest.raises(ConfigError, match=r"settings\.toml line 2: not valid TOML"):
        loaded(None, tmp_path)


def test_empty_settings_without_a_copy_set_nothing(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").touch()
    assert loaded(None, tmp_path).configuration.settings == Settings()


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").mkdir()
    with pytest.raises(ConfigError, match=r"settings\.toml cannot be read: Is a directory"):
        loaded(None, tmp_path)


def test_reading_changes_nothing(tmp_path: Path) -> None:
    with DataDirectory(tmp_path) as directory:
        keep_secrets(directory, "mqtt", {"password": Secret("x")})
    (tmp_path / "secrets.toml").write_bytes(b"")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert loaded(None, tmp_path).configuration.settings.mqtt.password == Secret("x")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_secrets_that_were_written_by_hand_are_kept_when_others_are_added(tmp_path: Path) -> None:
    (tmp_path / "secrets.toml").write_text("[mqtt]\nusername = 'me'\n")
    (tmp_path / "secrets.toml").chmod(0o600)
    with DataDirectory(tmp_path) as directory:
        keep_secrets(directory, "mqtt", {"password": "made"})
    mqtt = loaded(None, tmp_path).configuration.settings.mqtt
    assert (mqtt.username, mqtt.password) == ("me", Secret("made"))


def test_damaged_secrets_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "secrets.toml").write_text("[mqtt\npassword = 'mine'\n")
    with DataDirectory(tmp_path) as directory, pytest.raises(ConfigError, match="not valid TOML"):
        keep_secrets(directory, "mqtt", {"password": "made"})
    assert "mine" in (tmp_path / "secrets.toml").read_text()
