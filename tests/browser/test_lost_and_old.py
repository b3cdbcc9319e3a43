"""What the page does when values are not live: the battery cannot be heard, or the bridge cannot be reached."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.browser.browser import Browser, Page
from tests.browser.fake_bridge import fake_bridge, show
from tests.browser.states import health, live, offline

pytestmark = pytest.mark.needs("browser")

ADVICE = "Wake it with a load, a charger or its key."
COLOURS = "getComputedStyle(document.querySelector('.gauge .number')).color"


def is_greyed(page: Page) -> bool:
    return bool(page.evaluate("!!document.querySelector('.battery.old')"))


def clock_times(seconds_ago: float) -> set[str]:
    """Return how the browser's clock read so long ago, give or take the time that a test takes."""
    moment = datetime.now(ZoneInfo("Europe/Berlin")) - timedelta(seconds=seconds_ago)
    return {f"{moment - timedelta(seconds=late):%H:%M}" for late in (0, 30)}


@pytest.mark.parametrize(("link", "chip", "headline", "error"), [
    ("starting", "Starting", "Waiting for the battery", False),
    ("asleep", "Asleep", "The battery is asleep", True),
    ("silent", "No answer", "The battery does not answer", True),
    ("noisy", "Unreadable", "The answers cannot be read", True),
    ("stale", "Not believable", "The answers are not believable", False),
    ("unplugged", "No port", "The port cannot be opened", True),
    ("updating", "Updating", "Firmware is being updated", False),
])
def test_a_battery_that_cannot_be_heard_is_greyed_with_cause_and_next_step(
    browser: Browser, link: str, chip: str, headline: str, error: bool
) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        show(page, bridge)
        colour = page.evaluate(COLOURS)
        assert not is_greyed(page)

        bridge.say(offline(link, age=300, advice=ADVICE))

        page.until_text(headline)
        notice = page.text(".notice").split("\n")
        assert notice == [headline, ADVICE, *(["bms_data_error"] if error else [])]
        assert page.text("header .chip").split("\n") == [chip, "5 min ago"]
        assert is_greyed(page)
        assert page.evaluate(COLOURS) != colour
        assert page.text(".gauge").startswith("76.5%")
        assert re.fullmatch(r"Last values from (.+, )?\d\d:\d\d \(5 min ago\)", page.text(".when"))
        assert any(moment in page.text(".when") for moment in clock_times(300))
        assert page.evaluate("document.title") == f"{chip} · smartbms"

        bridge.say(live())
        page.until_text("Live", "header .chip")
        assert not is_greyed(page)


def test_the_page_has_advice_of_its_own_where_the_bridge_gives_none(browser: Browser) -> None:
    with fake_bridge(offline("asleep"), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        assert "Wake it with a load, a charger or its button" in page.text(".notice")


def test_a_battery_that_never_answered_shows_no_values(browser: Browser) -> None:
    with fake_bridge(offline("silent", age=None), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        assert page.text(".when") == "No values yet"
        assert "ago" not in page.text("header")
        assert not page.evaluate("!!document.querySelector('.cells')")


def test_a_late_battery_is_live_and_says_that_it_is_slow(browser: Browser) -> None:
    with fake_bridge(live(link="late", age=3.2), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        assert page.text("header .chip").startswith("Slow\n3 s ago")
        assert not is_greyed(page)


def test_age_counts_on_between_readings(browser: Browser) -> None:
    with fake_bridge(live(age=20.0), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        page.until_text("20 s ago", "header .chip")
        page.until_text("22 s ago", "header .chip")


def test_a_device_that_slept_does_not_take_old_values_for_new(browser: Browser) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        show(page, bridge)
        page.until_text("Live", "header .chip")
        bridge.freeze()

        # Asleep, the monotonic clock of some browsers stands still while the wall clock goes on
        page.evaluate("{ const now = Date.now; Date.now = () => now() + 3_600_000; }")

        page.until_text("Connection to the bridge lost", within=5)
        assert "60 min ago" in page.text("header .chip")
        assert is_greyed(page)
        bridge.thaw()


class TestBridgeLost:
    def test_the_page_greys_and_tells_the_time_of_the_last_value(self, browser: Browser, pictures: Path) -> None:
        with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            bridge.stop()

            page.until_text("Connection to the bridge lost, last value at ", within=8)
            assert any(moment in page.text(".notice") for moment in clock_times(0))
            assert page.text("header .chip").startswith("Offline")
            assert is_greyed(page)
            assert page.evaluate("document.title") == "Offline · smartbms"
            assert not page.evaluate("!!document.querySelector('.bridge')"), "health of a bridge that is gone"
            said = page.evaluate("document.querySelector('[role=status]').textContent")
            assert said == "Connection to the bridge lost."
            assert page.axe() == []
            page.screenshot(pictures / "lost-phone-light.png")

    def test_the_page_comes_back_by_itself(self, browser: Browser) -> None:
        with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
            show(page, bridge)
            bridge.stop()
            page.until_text("Connection to the bridge lost", within=8)

            bridge.batteries["main"] = live(soc=70.1)
            bridge.start()

            page.until_text("70.1", ".gauge", within=15)
            assert page.text("header .chip").startswith("Live")
            assert not is_greyed(page)
            assert bridge.page_loads == 1

    def test_a_bridge_that_falls_silent_on_an_open_connection_is_noticed(self, browser: Browser) -> None:
        with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            bridge.freeze()

            page.until_text("Connection to the bridge lost, last value at ", within=20)
            assert is_greyed(page)
            bridge.thaw()
            page.until_text("Live", "header .chip", within=15)

    def test_a_bridge_that_was_never_reached_is_told(self, browser: Browser) -> None:
        with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
            bridge.freeze()
            page.goto(bridge.url)

            page.until_text("The bridge cannot be reached", within=15)
            bridge.thaw()
            page.until_text("76.5", ".gauge", within=15)


def test_without_a_stream_the_page_polls(browser: Browser) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        bridge.has_stream = False
        show(page, bridge)
        page.until_text("76.5", ".gauge")

        bridge.batteries["main"] = live(soc=60.2)

        page.until_text("60.2", ".gauge", within=8)
        assert page.text("header .chip").startswith("Live")


def test_a_stream_that_comes_back_is_used_again(browser: Browser) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        bridge.has_stream = False
        show(page, bridge)

        bridge.has_stream = True

        bridge.until_streaming(within=20)
        bridge.say(live(soc=60.2))
        page.until_text("60.2", ".gauge", within=2)


def test_a_page_that_may_not_read_says_so(browser: Browser) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        bridge.status = 401
        bridge.hang_up()

        page.until_text("The bridge does not let this device read", within=8)
        assert is_greyed(page)


class TestUpdateOfTheBridge:
    def test_a_page_from_before_reloads_itself(self, browser: Browser) -> None:
        with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            bridge.manifest = bridge.manifest | {"build": "new"}
            bridge.told_build = "new"
            bridge.hang_up()

            page.until("document.documentElement.dataset.build === 'new'", within=15)
            page.until_text("Live", "header .chip")
            assert bridge.page_loads == 2
            assert "was updated" not in page.text()

    def test_it_reloads_only_once_and_then_asks_the_person(self, browser: Browser) -> None:
        with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
            bridge.told_build = "never-served"
            page.goto(bridge.url)

            page.until_text("The bridge was updated.")
            assert bridge.page_loads == 2
            bridge.say(live(soc=70.1))
            page.until_text("70.1", ".gauge")
            assert bridge.page_loads == 2
