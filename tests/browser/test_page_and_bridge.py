"""The status page of a real bridge, reading an emulated battery: what a person sees is what the battery said."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.browser.browser import Browser, Page
from tests.rig import Bridge, Emulated, bridge, emulated_battery, wait_until

pytestmark = [pytest.mark.needs("browser"), pytest.mark.timeout(120)]


def configuration(port: str) -> str:
    return (
        f'[[battery]]\nid = "main"\nname = "House"\nport = "{port}"\nprotocol = "daly"\n'
        '[mqtt]\nurl = "off"\n[web]\nhost = "127.0.0.1"\nport = 0\n[mdns]\nenabled = false\n'
    )


@pytest.fixture
def battery(tmp_path: Path) -> Iterator[Emulated]:
    with emulated_battery(tmp_path, "--cells", "8", "--latency", "2", "--seed", "3") as playing:
        yield playing


@pytest.fixture
def running(tmp_path: Path, battery: Emulated) -> Iterator[Bridge]:
    """Run a bridge that reads a battery on a pseudo-terminal; it has live values."""
    with bridge(tmp_path, configuration(battery.port)) as started:
        wait_until(lambda: reading(started).get("cell_voltages"), "the first complete reading")
        yield started


def reading(running: Bridge) -> dict[str, Any]:
    return running.get("/api/batteries/main") or {}


def address(running: Bridge) -> str:
    return f"http://127.0.0.1:{running.web_port}/"


def open_live(page: Page, running: Bridge) -> None:
    page.goto(address(running))
    page.until_text("Live", "header .chip")


def test_the_page_shows_what_the_battery_says_and_follows_it(
    browser: Browser, running: Bridge, battery: Emulated
) -> None:
    with browser.open() as page:
        battery.order("current -20")
        open_live(page, running)

        page.until_text("Discharging", ".flow")
        wait_until(
            lambda: page.text(".gauge").startswith(f"{reading(running)['soc']:g}%"), "the state of charge of the API"
        )
        assert page.text(".hero h2") == "House"
        assert page.evaluate("document.querySelectorAll('.cells [role=meter]').length") == 8

        battery.order("current 31")

        page.until_text("Charging", ".flow")
        page.until_text("31.0 A", ".tiles")


def test_the_page_loads_small_clean_and_from_this_bridge_alone(
    browser: Browser, running: Bridge, pictures: Path
) -> None:
    with browser.open() as page:
        open_live(page, running)
        page.until("document.querySelector('.bridge')")

        assert page.bytes_received() < 40 * 1024
        assert [each for each in page.requests() if not each.startswith((address(running), "data:image/svg+xml"))] == []
        for dark in (False, True):
            page.emulate(width=390, height=844, dark=dark)
            assert page.axe() == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.screenshot(pictures / "real-bridge-phone-dark.png")
        assert page.errors() == []


def test_the_policy_forbids_inline_code_and_other_hosts(browser: Browser, running: Bridge) -> None:
    connection = HTTPConnection("127.0.0.1", running.web_port, timeout=5)
    connection.request("GET", "/")
    policy = connection.getresponse().headers["Content-Security-Policy"]
    connection.close()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy

    with browser.open() as page:
        open_live(page, running)
        page.evaluate("""{
            const script = document.createElement('script');
            script.textContent = 'window.broken = true';
            document.body.append(script);
        }""")
        assert page.evaluate("window.broken") is None


def test_a_silent_battery_greys_the_page_and_its_return_brings_it_back(
    browser: Browser, running: Bridge, battery: Emulated
) -> None:
    with browser.open() as page:
        open_live(page, running)

        battery.order("fault silence for 8")

        page.until_text("The battery does not answer", within=15)
        assert "bms_data_error" in page.text(".notice")
        assert reading(running)["advice"] in page.text(".notice")
        assert page.text(".when").startswith("Last values from ")
        assert page.evaluate("!!document.querySelector('.battery.old')")

        page.until_text("Live", "header .chip", within=20)
        assert not page.evaluate("!!document.querySelector('.battery.old')")


def test_a_bridge_that_is_killed_greys_the_page(browser: Browser, running: Bridge) -> None:
    with browser.open() as page:
        open_live(page, running)

        running.kill()

        page.until_text("Connection to the bridge lost, last value at ", within=8)
        assert page.evaluate("!!document.querySelector('.battery.old')")


def test_without_javascript_the_bridge_shows_the_same_values_as_a_table(
    browser: Browser, running: Bridge, pictures: Path
) -> None:
    with browser.open(scripts=False) as page:
        page.goto(address(running))

        text = page.text()
        assert "House" in text
        for name in ("State of charge", "Voltage", "Current", "Lowest cell voltage", "Temperatures", "Alarms"):
            assert name in text
        assert f"State of charge\t{reading(running)['soc']:.1f} %" in text
        page.screenshot(pictures / "real-bridge-plain-phone-light.png")
        assert page.errors() == []


def test_the_battery_that_comes_in_the_box_is_shown_as_emulated(browser: Browser, tmp_path: Path) -> None:
    with bridge(tmp_path, configuration("emulated://daly?cells=16&latency=2")) as running, browser.open() as page:
        wait_until(lambda: reading(running).get("link") == "ok", "the first reading")
        open_live(page, running)

        assert page.text(".banner").startswith("Emulated battery.")
        page.until("document.querySelectorAll('.cells [role=meter]').length === 16")
        first = page.text(".battery .stack")
        wait_until(lambda: page.text(".battery .stack") != first, "a value that moves", seconds=30)
        page.until("document.querySelector('.remarks').innerText.trim() === 'No alarms'")
        assert page.evaluate("document.title").endswith("· smartbms")
