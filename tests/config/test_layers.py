"""Where a value comes from: the later layer wins, tables merge by key, batteries by id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from bridge.config.layers import Configuration, Document, KeyPath, Layer, differences, resolve
from bridge.config.sections import Settings
from bridge.errors import ConfigError

FILE = "[mqtt]\nusername = 'file'\nbirth_topic = 'ha/status'\n[[battery]]\nid = 'house'\nport = '/dev/ttyUSB0'\n"


def configured(
    file: str | None = None, *, settings: str | None = None, secrets: str | None = None,
    environ: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None,
) -> Configuration:
    given_texts = ((Layer.FILE, "bridge.toml", file), (Layer.SETTINGS, "/data/settings.toml", settings),
                   (Layer.SECRETS, "/data/secrets.toml", secrets))
    documents = [
        Document(layer=layer, name=name, data=text.encode()) for layer, name, text in given_texts if text is not None
    ]
    return resolve(documents, environ=environ or {}, overrides=overrides or {})


def origin(configuration: Configuration, name: str) -> str:
    section, *battery, key = name.split(".")
    path = KeyPath(section=section, battery=battery[0] if battery else None, key=key)
    return str(configuration.origins[path])


def test_each_layer_wins_over_the_one_before_and_leaves_the_rest() -> None:
    username = "[mqtt]\nusername = '{}'"
    variable = {"SMARTBMS__MQTT__USERNAME": "environment"}
    option = {"mqtt.username": "option"}
    layers = [
        configured(FILE),
        configured(FILE, settings=username.format("settings")),
        configured(FILE, settings=username.format("settings"), secrets=username.format("secrets")),
        configured(FILE, secrets=username.format("secrets"), environ=variable),
        configured(FILE, environ=variable, overrides=option),
    ]
    assert [each.settings.mqtt.username for each in layers] == ["file", "settings", "secrets", "environment", "option"]
    assert {each.settings.mqtt.birth_topic for each in layers} == {"ha/status"}
    assert [origin(each, "mqtt.username") for each in layers] == [
        "bridge.toml line 2", "/data/settings.toml line 2", "/data/secrets.toml line 2",
        "environment variable SMARTBMS__MQTT__USERNAME", "command line",
    ]
    assert {origin(each, "mqtt.birth_topic") for each in layers} == {"bridge.toml line 3"}
    assert {origin(each, "mqtt.url") for each in layers} == {"default"}


def test_batteries_merge_by_id_and_keep_their_order() -> None:
    merged = configured(
        FILE + "[[battery]]\nid = 'shed'\nport = '/dev/ttyUSB1'\ncells = 8\n",
        settings="[[battery]]\nid = 'van'\nport = '/dev/ttyUSB2'\n[[battery]]\nid = 'shed'\nname = 'Shed'\n",
    )
    assert [(battery.id, battery.name, battery.port, battery.cells) for battery in merged.settings.battery] == [
        ("house", "Battery", "/dev/ttyUSB0", None), ("shed", "Shed", "/dev/ttyUSB1", 8),
        ("van", "Battery", "/dev/ttyUSB2", None),
    ]
    assert origin(merged, "battery.shed.name") == "/data/settings.toml line 6"
    assert origin(merged, "battery.shed.id") == "bridge.toml line 8"
    assert origin(merged, "battery.shed.port") == "bridge.toml line 9"


def test_file_without_battery_has_none_and_says_how_to_add_one() -> None:
    without = configured("[bridge]\nname = 'van'\n")
    assert without.settings.battery == ()
    (warning,) = without.warnings
    assert "[[battery]]" in warning
    assert "smartbms detect" in warning


def test_every_battery_switched_off_is_told() -> None:
    off = configured(environ={"SMARTBMS__BATTERY__main__ENABLED": "false"})
    assert off.warnings == ("Every battery is switched off: set enabled = true where one is to be read.",)


def test_no_file_at_all_gives_the_emulated_battery() -> None:
    assert configured().settings == Settings()
    assert configured().warnings == ()


def test_port_is_never_inherited_from_the_default_battery() -> None:
    with pytest.raises(ConfigError, match=r'^bridge\.toml line 2: battery "main" has no port; say where it is'):
        configured("[[battery]]\nid = 'main'\n")


@pytest.mark.parametrize("layer", ["settings", "environment"])
def test_first_real_battery_added_beside_the_shipped_file_switches_the_emulated_one_off(layer: str) -> None:
    shipped = "[[battery]]\nid = 'main'\nport = 'emulated://daly'\nenabled = true\n"
    if layer == "settings":
        added = configured(shipped, settings="[[battery]]\nid = 'house'\nport = '/dev/ttyUSB0'\n")
    else:
        added = configured(shipped, environ={"SMARTBMS__BATTERY__house__PORT": "/dev/ttyUSB0"})
    assert [(battery.id, battery.enabled) for battery in added.settings.battery] == [("main", False), ("house", True)]
    assert 'off since battery "house" was added' in origin(added, "battery.main.enabled")
    assert added.warnings == ()


def test_emulated_battery_stays_on_where_the_page_says_so() -> None:
    both = "[[battery]]\nid = 'main'\nenabled = true\n[[battery]]\nid = 'house'\nport = '/dev/ttyUSB0'\n"
    assert [battery.enabled for battery in configured(settings=both).settings.battery] == [True, True]


@pytest.mark.parametrize("more", ["port = 'emulated://daly'", "port = '/dev/ttyUSB0'\nenabled = false"])
def test_emulated_battery_stays_on_beside_one_that_is_not_real_or_not_on(more: str) -> None:
    added = configured(settings=f"[[battery]]\nid = 'second'\n{more}\n")
    assert added.settings.battery[0].enabled


def test_default_battery_given_a_real_port_is_real_and_stays_on() -> None:
    (battery,) = configured(environ={"SMARTBMS__BATTERY__MAIN__PORT": "/dev/ttyUSB0"}).settings.battery
    assert (battery.id, battery.port, battery.enabled, battery.is_emulated) == ("main", "/dev/ttyUSB0", True, False)


def test_file_with_emulated_and_real_batteries_runs_both_and_is_told() -> None:
    both = configured(FILE + "[[battery]]\nid = 'main'\nport = 'emulated://daly'\n")
    assert [battery.enabled for battery in both.settings.battery] == [True, True]
    assert both.warnings == (
        "Beside the real batteries an emulated one runs (main): remove it, or set enabled = false there.",
    )


@pytest.mark.parametrize(
    ("name", "text", "section", "key", "value"),
    [
        ("SMARTBMS__WEB__PORT", "8080", "web", "port", 8080),
        ("SMARTBMS__MDNS__ENABLED", "no", "mdns", "enabled", False),
        ("SMARTBMS__MQTT__VALUES", "True", "mqtt", "values", True),
        ("SMARTBMS__MQTT__PUBLISH_INTERVAL", "2", "mqtt", "publish_interval", 2.0),
        ("SMARTBMS__MQTT__DISCOVERY", "single", "mqtt", "discovery", "single"),
        ("SMARTBMS__MQTT__USERNAME", "1234", "mqtt", "username", "1234"),
        ("smartbms__web__home_networks", "10.8.0.0/24, fd00::/8", "web", "home_networks", ("10.8.0.0/24", "fd00::/8")),
    ],
)
def test_variable_is_read_by_the_type_of_its_key(name: str, text: str, section: str, key: str, value: object) -> None:
    settings = configured(environ={name: text}).settings
    assert getattr(getattr(settings, section), key) == value


def test_empty_variable_overrides_nothing() -> None:
    assert configured(FILE, environ={"SMARTBMS__MQTT__USERNAME": ""}).settings.mqtt.username == "file"


@pytest.mark.parametrize("battery", ["main", "a-b", "a_b", "a__b", "_a", "a_"])
def test_variable_names_a_battery_whatever_its_id(battery: str) -> None:
    file = f"[[battery]]\nid = '{battery}'\nport = '/dev/ttyUSB0'\n"
    (found,) = configured(file, environ={f"SMARTBMS__BATTERY__{battery}__POLL_INTERVAL": "5"}).settings.battery
    assert (found.id, found.poll_interval) == (battery, 5.0)


def test_shell_that_knows_no_hyphen_reaches_a_battery_with_one() -> None:
    file = "[[battery]]\nid = 'my-house'\nport = '/dev/ttyUSB0'\n"
    (found,) = configured(file, environ={"SMARTBMS__BATTERY__MY_HOUSE__CELLS": "8"}).settings.battery
    assert (found.id, found.cells) == ("my-house", 8)


def test_two_variables_for_one_key_are_refused() -> None:
    with pytest.raises(ConfigError, match="sets the same key; keep one of them"):
        configured(environ={"SMARTBMS__WEB__PORT": "1", "SMARTBMS__WEB__port": "2"})


def test_variables_of_other_programs_are_none_of_our_business() -> None:
    assert configured(environ={"PATH": "/bin", "SMARTBMS_DATA": "/data", "SMARTBMS": "x"}).settings == Settings()


def test_relative_path_counts_from_the_folder_of_its_file() -> None:
    mqtt = configured(
        "[mqtt]\nca_file = 'ca.pem'\nclient_certificate = '/etc/c.pem'\n", settings="[mqtt]\npassword_file = 'pw'\n",
        environ={"SMARTBMS__MQTT__CLIENT_KEY": "key.pem"},
    ).settings.mqtt
    assert (mqtt.ca_file, mqtt.password_file) == ("ca.pem", "/data/pw")
    assert (mqtt.client_certificate, mqtt.client_key) == ("/etc/c.pem", "key.pem")


def test_only_what_differs_from_the_defaults_is_a_difference() -> None:
    file = "[bridge]\nname = 'smartbms'\n[web]\nport = 7000\n[[battery]]\nid = 'a'\nport = '/dev/x'\ncells = 4\n"
    assert {str(path): value for path, value in differences(configured(file))} == {
        "battery.a.id": "a", "battery.a.port": "/dev/x", "battery.a.cells": 4, "web.port": 7000,
    }
    assert list(differences(configured())) == []


# -- laws of merging

_TEXTS = st.sampled_from(["a", "b", "c"])
_TABLES = st.fixed_dictionaries(
    {},
    optional={
        "bridge": st.fixed_dictionaries({}, optional={"name": _TEXTS}),
        "mqtt": st.fixed_dictionaries({}, optional={"username": _TEXTS, "values": st.booleans()}),
        "web": st.fixed_dictionaries({}, optional={"port": st.integers(1024, 65535)}),
        "battery": st.lists(
            st.fixed_dictionaries(
                {"id": _TEXTS, "port": st.sampled_from(["/dev/a", "emulated://daly"])},
                optional={"name": _TEXTS, "cells": st.integers(1, 48), "enabled": st.just(False)},
            ),
            unique_by=lambda battery: battery["id"],
            max_size=1,
        ),
    },
)
Table = dict[str, Any]


def of(**tables: Table) -> Settings:
    texts: dict[str, Any] = {name: tomli_w.dumps(table) for name, table in tables.items()}
    return configured(**texts).settings


@given(_TABLES)
def test_merging_a_layer_with_itself_changes_nothing(table: Table) -> None:
    assert of(file=table, settings=table) == of(file=table)


@given(_TABLES)
def test_an_empty_layer_changes_nothing(table: Table) -> None:
    assert of(file=table, settings={}, secrets={}) == of(file=table)
    assert of(file={}, settings=table) == of(file=table)


@given(_TABLES, _TABLES)
def test_what_the_last_layer_says_is_in_force_and_what_it_does_not_say_is_untouched(first: Table, last: Table) -> None:
    before, after = of(file=first), of(file=first, settings=last)
    for section in ("bridge", "mqtt", "web"):
        said = last.get(section, {})
        for key in getattr(after, section).__struct_fields__:
            expected = said[key] if key in said else getattr(getattr(before, section), key)
            assert getattr(getattr(after, section), key) == expected
    ids = [battery["id"] for battery in (*first.get("battery", []), *last.get("battery", []))]
    assert [battery.id for battery in after.battery] == list(dict.fromkeys(ids))


@given(_TABLES, _TABLES, _TABLES)
def test_it_does_not_matter_which_two_layers_are_merged_first(a: Table, b: Table, c: Table) -> None:
    """Three layers one after another are the first and then what the other two make together."""
    together: Table = {}
    for table in (b, c):
        for section, content in table.items():
            if isinstance(content, dict):
                together[section] = {**together.get(section, {}), **content}
            else:
                by_id = {battery["id"]: battery for battery in together.get("battery", [])}
                for battery in content:
                    by_id[battery["id"]] = {**by_id.get(battery["id"], {}), **battery}
                together["battery"] = list(by_id.values())
    assert of(file=a, settings=b, secrets=c) == of(file=a, settings=together)
