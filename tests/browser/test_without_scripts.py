"""What the bridge renders itself: the page without JavaScript, and the pages that explain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.browser import Browser
from tests.browser.fake_bridge import fake_bridge
from tests.browser.states import health, live, offline

pytestmark = pytest.mark.needs("browser")


def test_without_javascript_the_page_is_a_table_that_renews_itself(browser: Browser, pictures: Path) -> None:
    batteries = (live(emulated=True), offline("asleep", battery="boat", name="Boat", age=300))
    with fake_bridge(*batteries, health=health()) as bridge, browser.open(scripts=False) as page:
        page.goto(bridge.url)

        text = page.text()
        assert "Without JavaScript this page is a plain table" in text
        assert "voltage\t53.12" in text
        assert "Emulated battery" in text
        assert "Not live: last values, 300 s old when this page was made" in text
        assert "bms_data_error" in text
        assert page.evaluate("getComputedStyle(document.querySelector('table')).visibility") == "visible"
        page.screenshot(pictures / "plain-phone-light.png")
        loads = bridge.page_loads
        page.until(f"document.querySelector('meta[http-equiv=refresh]').content === '10' && {loads} > 0")


def test_where_the_scripts_do_not_come_the_table_appears(browser: Browser) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        bridge.manifest = bridge.manifest | {"js": "missing.js"}
        page.goto(bridge.url)

        page.until("getComputedStyle(document.querySelector('table')).visibility === 'visible'", within=5)
        assert "voltage\t53.12" in page.text()


def test_without_a_built_page_the_table_says_why(browser: Browser) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        bridge.manifest = {"build": "", "js": "", "css": ""}
        page.goto(bridge.url)

        assert "Only this plain table is available. It was made without Node.js." in page.text()
        assert "voltage\t53.12" in page.text()
        assert page.errors() == []


def test_without_javascript_and_battery_the_page_tells_how_to_add_one(browser: Browser) -> None:
    with fake_bridge(health=health()) as bridge, browser.open(scripts=False) as page:
        page.goto(bridge.url)

        assert "smartbms detect" in page.text()


@pytest.mark.parametrize(("template", "context", "words"), [
    ("explain", {"reason": "outside", "address": "203.0.113.7"},
     ["203.0.113.7", "web.home_networks", "VPN", "MQTT", "log-in"]),
    ("explain", {"reason": "host", "address": "evil.example"},
     ["evil.example", "web.allowed_hosts", "smartbms.local"]),
    ("not_found", {}, ["There is no such page"]),
])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_that_explain_are_plain_and_lead_nowhere(
    browser: Browser, template: str, context: dict[str, str], words: list[str], dark: bool
) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open(dark=dark) as page:
        bridge.pages["/explained"] = bridge.render(f"{template}.html.jinja", bridge="smartbms", **context)
        page.goto(f"{bridge.url}explained")

        assert [word for word in words if word not in page.text()] == []
        assert page.evaluate("document.querySelectorAll('a, form, script, meta[http-equiv]').length") == 0
        assert page.axe() == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.errors() == []


def test_hostile_addresses_are_text(browser: Browser) -> None:
    attack = "<script>alert(1)</script>"
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        bridge.pages["/explained"] = bridge.render("explain.html.jinja", bridge=attack, reason="host", address=attack)
        page.goto(f"{bridge.url}explained")

        assert page.text().count(attack) == 2
        assert page.evaluate("document.querySelectorAll('script').length") == 0
