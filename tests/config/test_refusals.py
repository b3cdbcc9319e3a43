"""What is wrong is told in one sentence: where, which key, what was found, what is expected; all of it together."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config.layers import Configuration, Document, Layer, resolve
from bridge.errors import ConfigError


def configured(file: str | bytes, **more: Mapping[str, str]) -> Configuration:
    data = file if isinstance(file, bytes) else file.encode()
    document = Document(layer=Layer.FILE, name="bridge.toml", data=data)
    return resolve([document], protocols=("daly", "jbd"), **more)


def refusal(file: str | bytes, **more: Mapping[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(file, **more)
    return str(caught.value)


def battery(line: str) -> str:
    return f'[[battery]]\nid = "main"\nport = "/dev/ttyUSB0"\n{line}\n'


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("[mqtt]\nulr = 'off'", "bridge.toml line 2: ulr is no key of [mqtt]; did you mean url?"),
        ("[brigde]\nname = 'x'", "bridge.toml line 1: [brigde] is no section; did you mean [bridge]?"),
        (battery("poll_intervall = 2"),
         "bridge.toml line 4: poll_intervall is no key of [battery]; did you mean poll_interval?"),
        ("[web]\nlevel = 'debug'", "bridge.toml line 2: level is no key of [web]; it belongs below [logging]."),
        ("[mdns]\nzzz = 1", "bridge.toml line 2: zzz is no key of [mdns]; known are enabled."),
        ("home_access = 'read'",
         "bridge.toml line 1: home_access stands outside of any section; it belongs below [web]."),
        ("[web]\nport = '6789'",
         'bridge.toml line 2: web.port = "6789": expected a whole number from 0 to 65535, without quotes.'),
        ("[web]\nport = 6789.0", "bridge.toml line 2: web.port = 6789.0: expected a whole number from 0 to 65535."),
        ("[web]\nport = 65536", "bridge.toml line 2: web.port = 65536: expected a whole number from 0 to 65535."),
        ("[web]\nport = true", "bridge.toml line 2: web.port = true: expected a whole number from 0 to 65535."),
        (battery("poll_interval = -1"),
         "bridge.toml line 4: battery.main.poll_interval = -1: expected a number from 0 to 3600 s."),
        (battery("poll_interval = nan"),
         "bridge.toml line 4: battery.main.poll_interval = NaN: expected a number from 0 to 3600 s."),
        (battery("capacity = 0"),
         "bridge.toml line 4: battery.main.capacity = 0: expected a number above 0 and up to 100000 Ah."),
        (battery("enabled = 'yes'"),
         'bridge.toml line 4: battery.main.enabled = "yes": expected true or false, without quotes.'),
        (battery("chemistry = 'lpf'"),
         ('bridge.toml line 4: battery.main.chemistry = "lpf": expected "auto" or "lfp" or "nmc" or "lto"; '
          'did you mean "lfp"?')),
        ("[mqtt]\nusername = 5", "bridge.toml line 2: mqtt.username = 5: expected text, in quotes."),
        ("[mqtt]\nusername = ' '", 'bridge.toml line 2: mqtt.username = " ": it is empty.'),
        ('[mqtt]\nusername = "a\\nb"',
         'bridge.toml line 2: mqtt.username = "a\\nb": it holds a line break or another control character.'),
        ("[web]\nallowed_hosts = 'a.example'",
         ('bridge.toml line 2: web.allowed_hosts = "a.example": '
          'expected a list of texts in quotes, such as ["…", "…"].')),
        ("[[mqtt]]\nurl = 'off'", "bridge.toml line 1: [mqtt] is written once, with its keys below it."),
        ("[battery]\nid = 'main'",
         "bridge.toml line 1: batteries are written [[battery]], with two brackets and id below it."),
        ("[[battery]]\nport = '/dev/x'",
         'bridge.toml line 1: this [[battery]] has no id; give it one, such as id = "main".'),
        (battery("") + battery(""), 'bridge.toml line 5: the id "main" is used twice; each battery needs its own.'),
    ],
)
def test_refusal_names_place_key_what_was_found_and_what_is_expected(file: str, sentence: str) -> None:
    assert refusal(file) == sentence


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("[web]\nport = 80", "the set-up portal needs port 80"),
        ("[bridge]\nname = 'Van'", 'write it in lower case: "van"'),
        ("[bridge]\nname = 'my bridge'", "expected 1 to 58 of a-z, 0-9 and -"),
        ("[bridge]\nname = '-van'", "expected 1 to 58 of a-z, 0-9 and -"),
        ("[bridge]\nname = 'a.b'", "expected 1 to 58 of a-z, 0-9 and -"),
        (f"[bridge]\nname = '{59 * 'a'}'", "expected 1 to 58 of a-z, 0-9 and -"),
        ("[[battery]]\nid = 'bank'\nport = '/dev/x'", "this id is taken by the bridge itself"),
        ("[[battery]]\nid = 'bridge'\nport = '/dev/x'", "this id is taken by the bridge itself"),
        ("[[battery]]\nid = 'My Battery'\nport = '/dev/x'", "expected 1 to 32 of a-z, 0-9, _ and -"),
        (f"[[battery]]\nid = '{33 * 'a'}'\nport = '/dev/x'", "expected 1 to 32 of a-z, 0-9, _ and -"),
        ("[[battery]]\nid = 'a'\nport = 'ttyUSB0'", "a device path begins with /, such as /dev/ttyUSB0"),
        ("[[battery]]\nid = 'a'\nport = 'COM3'", "expected a device path such as /dev/ttyUSB0, or socket://"),
        ("[[battery]]\nid = 'a'\nport = 'sockets://h:1'", "did you mean socket://?"),
        ("[[battery]]\nid = 'a'\nport = 'socket://host'", "the port number is missing, as in socket://host:4001"),
        ("[[battery]]\nid = 'a'\nport = 'rfc2217://host:99999'", "expected a device path"),
        ("[[battery]]\nid = 'a'\nport = 'ble://12:34'", "expected a device path"),
        ("[[battery]]\nid = 'a'\nport = 'emulated://'", "expected a device path"),
        ("[[battery]]\nid = 'a'\nport = 'emulated://daily'", 'did you mean "daly"?'),
        (battery("protocol = 'dali'"), 'did you mean "daly"?'),
        (battery("protocol = 'can'"), "expected auto or one of daly, jbd"),
        ("[[battery]]\nid = 'a'\nport = 'emulated://daly'\nprotocol = 'jbd'", "the port emulates daly; leave it"),
        (battery("[[battery]]\nid = 'b'\nport = '/dev/ttyUSB0'"), 'battery "main" is there too; tell them'),
        ("[mqtt]\nurl = '192.168.1.5'", "a broker's address begins with mqtt://, such as mqtt://192.168.1.5"),
        ("[mqtt]\nurl = 'mqtss://host'", "did you mean mqtts://?"),
        ("[mqtt]\nurl = 'mqtt://host:x'", "expected embedded, off, or a URL"),
        ("[mqtt]\nurl = 'mqtt://host/topic'", "expected embedded, off, or a URL"),
        ("[mqtt]\nclient_key = 'key.pem'", "client_certificate is missing"),
        ("[mqtt]\ndiscovery_prefix = 'home/#'", "expected a topic without + # and spaces"),
        ("[web]\nhost = 'http://x'", "expected an address such as ::"),
        ("[web]\nhome_networks = ['192.168.1.5/24']", "write 192.168.1.0/24 for the network or 192.168.1.5 for"),
        ("[web]\nhome_networks = ['0.0.0.0/0']", "that is the whole internet"),
        ("[web]\nhome_networks = ['home']", "expected networks such as 10.8.0.0/24"),
        ("[web]\nallowed_hosts = ['http://my.example:80']", "expected the host name alone, without http:// and port"),
    ],
)
def test_value_that_cannot_work_is_refused_with_the_reason(file: str, reason: str) -> None:
    assert reason in refusal(file)


@pytest.mark.parametrize(
    "port",
    [
        "/dev/ttyUSB0", "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0", "./bms", "socket://192.168.1.9:4001",
        "socket://[fd00::1]:4001", "rfc2217://box.local:2217", "ble://AA:BB:CC:DD:EE:FF", "emulated://daly",
        "emulated://daly?cells=16&latency=5&pty=0",
    ],
)
def test_every_form_of_port_is_accepted(port: str) -> None:
    assert configured(f"[[battery]]\nid = 'a'\nport = '{port}'").settings.battery[0].port == port


@pytest.mark.parametrize(
    "url",
    ["embedded", "off", "mqtt://host", "mqtt://user@host:1883", "mqtts://host:8883", "ws://host/mqtt", "wss://[fd00::1]:1/"],
)
def test_every_form_of_broker_is_accepted(url: str) -> None:
    assert configured(f"[mqtt]\nurl = '{url}'").settings.mqtt.url == url


def test_batteries_on_one_line_are_told_apart_by_address() -> None:
    line = "[[battery]]\nid = '{0}'\nport = '/dev/ttyUSB0'\naddress = {0}\n"
    assert len(configured(line.format(1) + line.format(2)).settings.battery) == 2


def test_any_number_of_emulated_batteries_may_have_the_same_port() -> None:
    emulated = "".join(f"[[battery]]\nid = 'b{number}'\nport = 'emulated://daly'\n" for number in range(3))
    assert len(configured(emulated).settings.battery) == 3


def test_all_problems_are_reported_together_in_their_order() -> None:
    message = refusal(
        "[mqtt]\nulr = 'off'\nvalues = 1\n[web]\nport = 80\n[[battery]]\nid = 'a'\n",
        environ={"SMARTBMS__WEB__PROT": "1", "SMARTBMS__MDNS__ENABLED": "perhaps"},
    )
    assert [line.partition(": ")[0] for line in message.split("\n")] == [
        "bridge.toml line 2", "bridge.toml line 3", "bridge.toml line 5",
        "environment variable SMARTBMS__MDNS__ENABLED", "environment variable SMARTBMS__WEB__PROT",
        "bridge.toml line 7",
    ]


def test_a_flood_of_problems_is_cut_short() -> None:
    message = refusal("[web]\n" + "".join(f"key{number} = 1\n" for number in range(50)))
    assert message.count("\n") == 20
    assert message.endswith("… and 30 more.")


def test_error_carries_place_and_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        configured("[mqtt]\nulr = 'off'")
    assert (caught.value.where, caught.value.suggestion) == ("bridge.toml line 2", "url")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("SMARTBMS__WEB__PROT", "prot is no key of [web]; did you mean port?"),
        ("SMARTBMS__MQTTT__URL", "mqttt is no section; did you mean mqtt?"),
        ("SMARTBMS__BATTERY__PORT", "expected SMARTBMS__BATTERY__<id>__KEY."),
        ("SMARTBMS__WEB__a__PORT", "expected SMARTBMS__WEB__KEY."),
        ("SMARTBMS__BATTERY__new__CELLS",
         'battery "new" has no port; say where it is, such as port = "/dev/ttyUSB0".'),
    ],
)
def test_wrong_variable_is_refused_by_its_name(name: str, sentence: str) -> None:
    assert refusal("", environ={name: "1"}) == f"environment variable {name}: {sentence}"


# -- the file as a person saved it


@pytest.mark.parametrize("prefix", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_byte_order_mark_and_windows_line_ends_are_read(prefix: bytes, line_end: str) -> None:
    text = line_end.join(["[bridge]", 'name = "van"', "[web]", "port = 7000", ""])
    settings = configured(prefix + text.encode()).settings
    assert (settings.bridge.name, settings.web.port) == ("van", 7000)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_told_by_name(encoding: str) -> None:
    assert refusal("[bridge]\nname = 'van'\n".encode(encoding)) == "bridge.toml is saved as UTF-16. Save it as UTF-8."


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"[bridge]\nname = 'K\xe4lte'\n", "bridge.toml line 2: a character is not UTF-8. Save the file as UTF-8."),
        (b"[bridge]\nname = smartbms\n", "bridge.toml line 2: not valid TOML: Invalid value."),
        (b"[bridge]\n[web\n", "bridge.toml line 2: not valid TOML: Expected ']' at the end of a table declaration."),
        (b"[web]\nport = 1\nport = 2\n", "bridge.toml line 3: not valid TOML: Cannot overwrite a value."),
        (b"a = " + 100_000 * b"[", "bridge.toml: brackets are nested too deeply."),
        (b"a = " + 5000 * b"1", "bridge.toml: a number has too many digits."),
        (1_000_001 * b"#", "bridge.toml is no configuration: it is larger than 1000 kB."),
    ],
)
def test_file_that_cannot_be_read_is_told_in_one_sentence(data: bytes, sentence: str) -> None:
    assert refusal(data) == sentence


def test_line_is_that_of_the_second_battery_not_of_the_first() -> None:
    file = battery("cells = 8") + "\n" + battery("cells = 99").replace("main", "shed")
    assert refusal(file).startswith("bridge.toml line 9: battery.shed.cells = 99:")


def test_line_is_left_out_rather_than_wrong() -> None:
    file = 'mdns.enabled = 3\n[bridge]\nname = """\n[mdns]\nenabled = 3\n"""\n'
    assert re.match(r"bridge\.toml line [45]", refusal(file)) is None


_TOML_PIECES = st.lists(
    st.sampled_from(["[web]", "[[battery]]", "id", "port", "=", '"', "'", "x", "1", "-", ".", "[", "]", "{", "}", "\n",
                     "\r\n", "#", "\\u", "nan", "1e999", "1979-05-27", "true", ",", "\0", "\ufeff", "ä", "[mqtt]",
                     "password", "url", "home_networks"]),
    max_size=60,
).map("".join)


@given(st.one_of(st.binary(), _TOML_PIECES.map(str.encode), st.text().map(lambda text: text.encode("utf-16"))))
def test_any_bytes_are_a_configuration_or_a_configuration_error(data: bytes) -> None:
    try:
        configured(data)
    except ConfigError as error:
        assert str(error).startswith("bridge.toml")  # noqa: PT017  every example may go either way


@given(
    st.sampled_from(["BRIDGE__NAME", "WEB__PORT", "WEB__HOME_NETWORKS", "MQTT__URL", "MQTT__PASSWORD", "MDNS__ENABLED",
                     "BATTERY__a__PORT", "BATTERY__a__CAPACITY", "BATTERY__b__ADDRESS", "X", ""]),
    st.text(),
)
def test_any_variable_is_a_configuration_or_a_configuration_error(name: str, text: str) -> None:
    try:
        configured("", environ={f"SMARTBMS__{name}": text})
    except ConfigError as error:
        assert str(error).startswith("environment variable SMARTBMS__")  # noqa: PT017  as above
