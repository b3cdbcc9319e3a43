"""The pages without JavaScript, the built files, and what strangers see."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.battery.model import Temperature
from bridge.config import WebSection
from tests.web.serving import NO_PAGES, Answer, describe, live, serving, silent
from web.documents import link_text, rows
from web.server import Tuning

SCRIPT = b"console.log('hello');" * 100
HOST = "127.0.0.1"


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """Return a folder as the build leaves it."""
    (tmp_path / "app-AAAA1111.js").write_bytes(SCRIPT)
    (tmp_path / "app-BBBB2222.css").write_bytes(b"body{margin:0}")
    (tmp_path / "note.txt").write_bytes(b"x")
    manifest = {"build": "0123456789ab", "js": "app-AAAA1111.js", "css": "app-BBBB2222.css"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


# The status page


async def test_page_shows_every_battery_as_a_table() -> None:
    async with serving(batteries=[describe("main", name="Garage"), describe("shed", name="Shed")]) as it:
        it.hub.publish(live("main"))
        answer = await it.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    for text in ("Garage", "Shed", "76.5 %", "53.12 V", "9.8.7"):
        assert text in answer.text, text


async def test_page_of_a_silent_battery_says_why_and_what_to_do() -> None:
    async with serving() as it:
        it.hub.publish(silent())
        page = (await it.get("/")).text
    assert "The battery does not answer. Wake the BMS." in page
    assert "bms_data_error" in page


async def test_names_of_batteries_cannot_carry_markup() -> None:
    async with serving(batteries=[describe("main", name="<script>alert(1)</script>")]) as it:
        page = (await it.get("/")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_page_names_the_built_files_and_the_stream_their_build(static: Path) -> None:
    async with serving(tuning=Tuning(static=static)) as it:
        page = (await it.get("/")).text
        health = (await it.get("/api/health")).json
    assert 'src="static/app-AAAA1111.js"' in page
    assert 'href="static/app-BBBB2222.css"' in page
    assert health["build"] == "0123456789ab"


async def test_plain_page_serves_where_the_pages_were_not_built(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tuning=Tuning(static=NO_PAGES)) as it:
        answer = await it.get("/")
    assert answer.status == 200
    assert "<script" not in answer.text
    assert "made without Node.js" in answer.text
    assert "made without Node.js" in caplog.text


@pytest.mark.parametrize("manifest", ["{", "{}", '{"build": "x", "js": "gone.js", "css": "gone.css"}'])
async def test_damaged_build_is_told_and_the_plain_page_serves(
    manifest: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    async with serving(tuning=Tuning(static=tmp_path)) as it:
        assert (await it.get("/")).status == 200
    assert "The live page of this installation" in caplog.text


# The built files


async def test_hashed_file_is_kept_for_ever_and_compressed(static: Path) -> None:
    async with serving(tuning=Tuning(static=static)) as it:
        plain = await it.get("/static/app-AAAA1111.js")
        packed = await it.get("/static/app-AAAA1111.js", headers={"Accept-Encoding": "gzip"})
        known = await it.get("/static/app-AAAA1111.js", headers={"If-None-Match": plain.headers["ETag"]})
        unhashed = await it.get("/static/note.txt")
    assert plain.body == gzip.decompress(packed.body) == SCRIPT
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert plain.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert plain.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] == f'"{hashlib.sha256(SCRIPT).hexdigest()[:16]}"'
    assert (known.status, known.body) == (304, b"")
    assert unhashed.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/static/manifest.json", "/static/", "/static/nope.js", "/static/../server.py", "/static/..%2fserver.py",
        "/static/%2e%2e/%2e%2e/etc/passwd",
    ],
)
async def test_only_built_files_are_served(static: Path, path: str) -> None:
    async with serving(tuning=Tuning(static=static)) as it:
        assert (await it.get(path)).status == 404


async def test_lost_visitor_gets_a_page_that_helps() -> None:
    async with serving() as it:
        answer = await it.get("/index.php")
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "There is no such page" in answer.text


# Headers


def assert_safe(answer: Answer) -> None:
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Server"] == "SmartBMS"
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_every_answer_has_safe_headers(static: Path) -> None:
    async with serving(tuning=Tuning(static=static)) as it:
        for path in ("/", "/api/health", "/api/nope", "/nope", "/metrics", "/static/app-AAAA1111.js", "/favicon.ico"):
            assert_safe(await it.get(path, headers={"Origin": "http://evil.example"}))
        assert_safe(await it.get("/", method="POST"))
        assert_safe(await it.get("/", headers={"Host": "evil.example"}))
        assert_safe(await it.get("/api/events", method="HEAD"))


# Strangers


FROM_OUTSIDE = {"X-Forwarded-For": "203.0.113.9"}
BEHIND_PROXY = WebSection(host=HOST, port=0, trusted_proxies=("127.0.0.1",))
EVERY_PATH = ("/", "/api/batteries", "/api/batteries/main", "/api/events", "/api/health", "/api/openapi.json",
              "/metrics", "/static/app-AAAA1111.js", "/favicon.ico", "/nope", "/api/nope")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", EVERY_PATH)
async def test_strangers_learn_nothing(path: str, method: str, static: Path) -> None:
    async with serving(
        batteries=[describe("main", name="Garage")], settings=BEHIND_PROXY, tuning=Tuning(static=static)
    ) as it:
        it.hub.publish(live())
        answer = await it.get(path, method=method, headers=FROM_OUTSIDE)
    is_api = path.startswith("/api") or path == "/metrics"
    assert answer.status == (401 if is_api else 403)
    assert "Location" not in answer.headers
    for secret in ("53.12", "Garage", "9.8.7", "app-AAAA1111", "0123456789ab", "0a1b2c3d"):
        assert secret not in answer.text + str(answer.headers), secret


async def test_stranger_gets_an_explanation_that_names_what_to_set() -> None:
    async with serving(settings=BEHIND_PROXY) as it:
        page = (await it.get("/", headers=FROM_OUTSIDE)).text
        told = (await it.get("/api/health", headers=FROM_OUTSIDE)).json
    assert "203.0.113.9" in page
    assert "home_networks" in page
    assert told["reason"] == "outside"
    assert "web.home_networks" in told["error"]


async def test_client_at_home_reads_through_a_trusted_proxy() -> None:
    async with serving(settings=BEHIND_PROXY) as it:
        assert (await it.get("/", headers={"X-Forwarded-For": "127.0.0.1"})).status == 200


async def test_unknown_host_name_is_explained_with_that_name() -> None:
    async with serving() as it:
        page = await it.get("/", headers={"Host": "<b>evil.example"})
        told = await it.get("/api/batteries", headers={"Host": "evil.example:6789"})
    assert page.status == 403
    assert "&lt;b&gt;evil.example" in page.text
    assert "allowed_hosts" in page.text
    assert (told.status, told.json["reason"]) == (401, "host")


async def test_proxy_that_is_not_trusted_is_explained() -> None:
    async with serving() as it:
        page = await it.get("/", headers={"Via": "1.1 proxy"})
        told = await it.get("/api/batteries", headers={"Via": "1.1 proxy"})
    assert page.status == 403
    assert "trusted_proxies" in page.text
    assert (told.status, told.json["reason"]) == (401, "proxy")


async def test_login_at_home_is_asked_for_where_configured() -> None:
    async with serving(settings=WebSection(host=HOST, port=0, home_access="login")) as it:
        page = await it.get("/")
        told = await it.get("/api/batteries")
    assert page.status == 403
    assert "home_access" in page.text
    assert (told.status, told.json["reason"]) == (401, "login")


async def test_first_request_from_outside_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(settings=BEHIND_PROXY) as it:
        for _ in range(3):
            await it.get("/", headers=FROM_OUTSIDE)
    told = [each for each in caplog.records if "from outside the home" in each.getMessage()]
    assert len(told) == 1
    assert "203.0.113.9" in told[0].getMessage()


# The rows of the table


async def texts(**values: Any) -> dict[str, str]:
    async with serving() as it:
        it.hub.publish(live(**values))
        return {each.key: each.text for each in rows((await it.get("/api/batteries/main")).json)}


async def test_rows_show_each_quantity_with_its_unit_and_resolution() -> None:
    shown = await texts(
        soc=76.5, voltage=53.1, cycles=12, remaining_capacity=214.2, charge_enabled=True, discharge_enabled=False,
        cell_voltages=(3.3211, None), temperatures=(Temperature(name="cell_1", value=21.0),), balancing_cells=(3, 7),
    )
    assert shown["soc"] == "76.5 %"
    assert shown["voltage"] == "53.10 V"
    assert shown["cycles"] == "12 cycles"
    assert shown["remaining_capacity"] == "214.200 Ah"
    assert (shown["charge_enabled"], shown["discharge_enabled"]) == ("yes", "no")
    assert shown["cell_voltages"] == "1: 3.321 V, 2: –"
    assert shown["temperatures"] == "cell 1: 21.0 °C"
    assert shown["balancing_cells"] == "3, 7"
    assert shown["alarms"] == "cell overvoltage (warning, cell 3)"


async def test_rows_tell_none_from_unknown() -> None:
    known = await texts(soh=None, alarms=(), alarms_known=True, balancing=False, balancing_cells=(), cell_voltages=())
    assert (known["alarms"], known["balancing_cells"]) == ("none", "none")
    assert (known["soh"], known["cell_voltages"]) == ("–", "–")
    unknown = await texts(alarms=(), alarms_known=False, balancing=None, balancing_cells=())
    assert (unknown["alarms"], unknown["balancing_cells"]) == ("–", "–")


def test_link_is_put_into_words_with_the_advice() -> None:
    assert link_text({"link": "ok"}) == "Live."
    assert link_text({"link": "asleep", "advice": "Wake it."}) == "The battery is asleep. Wake it."
