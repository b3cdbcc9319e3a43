"""A secret is used and never shown: not in texts, errors or listings, and not taken from files that others may read."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest

from bridge.config.files import keep_secrets, load
from bridge.config.layers import Document, Layer, resolve
from bridge.config.sections import Secret
from bridge.errors import ConfigError
from bridge.storage import DataDirectory

HIDDEN = "correct horse"


def test_secret_prints_as_stars_in_every_way() -> None:
    secret = Secret(HIDDEN)
    texts = [str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{[secret]}", "%s" % secret]  # noqa: UP031
    assert [text.replace("[", "").replace("]", "") for text in texts] == ["***"] * 6


def test_secret_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("%s and %r", Secret(HIDDEN), {"password": Secret(HIDDEN)})
    assert HIDDEN not in caplog.text


def test_secret_reveals_itself_to_the_one_who_asks_and_compares_by_content() -> None:
    assert Secret(HIDDEN).reveal() == HIDDEN
    assert Secret(HIDDEN) == Secret(HIDDEN) != Secret("else")
    assert len({Secret(HIDDEN), Secret(HIDDEN)}) == 1


def test_settings_with_a_secret_print_without_it_and_cannot_be_written_as_json() -> None:
    settings = resolve(environ={"SMARTBMS__MQTT__PASSWORD": HIDDEN}).settings
    assert settings.mqtt.password == Secret(HIDDEN)
    assert HIDDEN not in repr(settings)
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)


@pytest.mark.parametrize("layer", [Layer.FILE, Layer.SETTINGS])
def test_password_in_a_file_that_others_may_read_is_refused_without_repeating_it(layer: Layer) -> None:
    document = Document(layer=layer, name="x.toml", data=f"[mqtt]\npassword = '{HIDDEN}'".encode())
    with pytest.raises(ConfigError) as caught:
        resolve([document])
    assert str(caught.value) == (
        "x.toml line 2: mqtt.password does not belong in this file, which others may read; "
        "put it below [mqtt] into secrets.toml in the data directory."
    )


@pytest.mark.parametrize(
    "line",
    [f"url = 'mqtt://me:{HIDDEN.replace(' ', '')}@host'", f"passwort = '{HIDDEN}'", f"password = ['{HIDDEN}']",
     f"password = '{HIDDEN}"],
)
def test_errors_do_not_repeat_a_password(line: str) -> None:
    for layer in (Layer.FILE, Layer.SECRETS):
        with pytest.raises(ConfigError) as caught:
            resolve([Document(layer=layer, name="x.toml", data=f"[mqtt]\n{line}\n".encode())])
        assert HIDDEN not in str(caught.value)
        assert HIDDEN.replace(" ", "") not in str(caught.value)


def test_kept_secrets_are_read_again_and_for_the_owner_alone(tmp_path: Path) -> None:
    with DataDirectory(tmp_path) as directory:
        keep_secrets(directory, "mqtt", {"username": "smartbms", "password": Secret('quote " and \\ back')})
        keep_secrets(directory, "mqtt", {"password": Secret(HIDDEN)})
    mqtt = load(None, tmp_path, environ={}, searched=()).configuration.settings.mqtt
    assert (mqtt.username, mqtt.password) == ("smartbms", Secret(HIDDEN))
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("secrets.toml*")} == {
        "secrets.toml": 0o600, "secrets.toml.last-good": 0o600,
    }


def test_secrets_that_others_can_read_are_told(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(f"[mqtt]\npassword = '{HIDDEN}'\n")
    secrets.chmod(0o644)
    assert load(None, tmp_path, environ={}, searched=()).configuration.warnings == (
        f"{secrets} can be read by other users: run chmod 600 {secrets}",
    )
    secrets.chmod(0o600)
    assert load(None, tmp_path, environ={}, searched=()).configuration.warnings == ()


def test_password_and_password_file_together_are_told() -> None:
    document = Document(layer=Layer.FILE, name="bridge.toml", data=b"[mqtt]\npassword_file = '/run/pw'\n")
    environ = {"SMARTBMS__MQTT__PASSWORD": HIDDEN, "SMARTBMS__BATTERY__a__PORT": "/dev/ttyUSB0"}
    configuration = resolve([document], environ=environ)
    assert configuration.warnings == ("Both mqtt.password and mqtt.password_file are set: the file is used.",)
