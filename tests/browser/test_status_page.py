"""What the status page shows of a battery that can be heard, and of the bridge."""

from __future__ import annotations

import re

import pytest

from tests.browser.browser import Browser
from tests.browser.fake_bridge import fake_bridge, show
from tests.browser.states import UNKNOWN, health, live, offline

pytestmark = pytest.mark.needs("browser")

def test_a_glance_tells_charge_power_and_age(browser: Browser) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        assert page.text(".gauge") == "76.5%\n214 of 280 Ah"
        assert page.text(".flow") == "Discharging\n653 W"
        assert page.text(".tiles").split("\n") == [
            "Voltage", "53.12 V", "Current", "−12.3 A", "Temperature", "21 to 24 °C", "Cell difference", "17 mV",
        ]
        assert page.text("header .chip") == "Live\njust now"
        assert page.text(".remarks") == "No alarms"
        assert page.text("footer") == "SmartBMS Bridge 1.2.3"
        assert page.evaluate("document.title").replace("\u00a0", " ") == "76.5 % Discharging 653 W · smartbms"


@pytest.mark.parametrize(("current", "power", "words"), [
    (12.5, 664.0, "Charging\n664 W"),
    (-230.0, -12_219.0, "Discharging\n12.2 kW"),
    (-0.1, -5.3, "Discharging\n5.3 W"),
    (0.0, 0.0, "Resting\n0 W"),
    (None, None, "Power unknown\n–\nunknown"),
])
def test_direction_of_power_is_told_in_words(
    browser: Browser, current: float | None, power: float | None, words: str
) -> None:
    with fake_bridge(live(current=current, power=power), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        assert page.text(".flow") == words


def test_new_values_appear_without_a_reload(browser: Browser) -> None:
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        bridge.say(live(soc=76.6, current=20.0, power=1066.0, voltage=53.31))

        page.until_text("76.6", ".gauge")
        assert page.text(".flow") == "Charging\n1,066 W"
        assert bridge.page_loads == 1


def test_unknown_values_are_dashes_that_are_read_out_as_unknown_never_zero(browser: Browser) -> None:
    with fake_bridge(live(**UNKNOWN), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        assert not re.search(r"\d", page.text(".battery .hero") + page.text(".battery > .stack"))
        values = page.evaluate("[...document.querySelectorAll('.hero dd, .stack dd')].map((each) => each.textContent)")
        assert values
        assert set(values) == {"–unknown"}
        assert page.evaluate("document.querySelector('.gauge').ariaLabel") == "State of charge: unknown"
        assert page.text(".remarks") == "Alarms unknown"


def test_numbers_follow_the_language_of_the_browser(browser: Browser) -> None:
    battery = live(power=-1653.4)
    with fake_bridge(battery, health=health()) as bridge, browser.open(locale="de-DE") as page:
        show(page, bridge)

        assert page.text(".gauge").startswith("76,5%")
        assert page.text(".flow") == "Discharging\n1.653 W"
        assert "53,12 V" in page.text(".tiles")


class TestCells:
    def test_each_cell_is_a_meter_with_its_voltage(self, browser: Browser) -> None:
        with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            said = page.evaluate(
                "[...document.querySelectorAll('.cell')].map((each) => each.ariaLabel + ': ' + each.ariaValueText)"
            )
            assert len(said) == 16
            assert said[0] == "Cell 1: 3.321 V"
            assert said[2] == "Cell 3: 3.312 V, lowest"
            assert said[6] == "Cell 7: 3.329 V, highest"

    def test_lowest_highest_and_balancing_are_told_by_icon_and_words(self, browser: Browser) -> None:
        battery = live(balancing=True, balancing_cells=[7, 12])
        with fake_bridge(battery, health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            assert page.text(".legend").split("\n") == [
                "Lowest", "3.312 V", "Cell 3", "Highest", "3.329 V", "Cell 7", "Balancing", "7, 12",
            ]
            marks = page.evaluate(
                "[...document.querySelectorAll('.cell')].map((each) => "
                "[...each.querySelectorAll('.icon')].map((icon) => icon.classList.item(icon.classList.length - 1)))"
            )
            assert marks[2] == ["lowest"]
            assert marks[6] == ["highest", "balancing"]
            assert marks[11] == ["balancing"]
            assert sum(map(len, marks)) == 4

    @pytest.mark.parametrize(("cells", "sentence", "shares"), [
        ([3.300, 3.310], "Bars run from 3.25 V to 3.35 V, not from zero.", [0.5, 0.6]),
        ([3.330, 3.331], "Bars run from 3.25 V to 3.35 V, not from zero.", [0.8, 0.81]),
        ([3.200, 3.400], "Bars run from 3.10 V to 3.50 V, not from zero.", [0.25, 0.75]),
        ([2.800, 3.650], "Bars run from 2.50 V to 4.00 V, not from zero.", [0.2, 0.7667]),
        ([0.000, 3.300], "Bars run from 0 to 4.00 V.", [0.0, 0.825]),
    ])
    def test_bars_are_as_long_as_the_stated_scale_says(
        self, browser: Browser, cells: list[float], sentence: str, shares: list[float]
    ) -> None:
        with fake_bridge(live(cell_voltages=cells), health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            assert page.text(".scale") == sentence
            drawn = page.evaluate("""[...document.querySelectorAll('.cell .bar')].map((bar) => {
                const [whole, full] = [bar.getBoundingClientRect(), bar.firstChild.getBoundingClientRect()];
                return (full.right - whole.left) / whole.width;
            })""")
            assert drawn == pytest.approx(shares, abs=0.01)

    def test_the_scale_stays_while_cells_move_a_little(self, browser: Browser) -> None:
        with fake_bridge(live(cell_voltages=[3.300, 3.338]), health=health()) as bridge, browser.open() as page:
            show(page, bridge)
            before = page.text(".scale")

            bridge.say(live(cell_voltages=[3.301, 3.342]))
            page.until_text("3.342", ".cells")
            assert page.text(".scale") == before

            bridge.say(live(cell_voltages=[3.301, 3.361]))
            page.until_text("3.361", ".cells")
            assert page.text(".scale") != before

    def test_a_cell_that_is_not_known_has_a_dash_and_no_bar(self, browser: Browser) -> None:
        with fake_bridge(live(cell_voltages=[3.3, None, 3.31]), health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            assert page.evaluate("document.querySelectorAll('.cells li')[1].textContent") == "Cell 22–unknown"
            assert page.evaluate("document.querySelectorAll('.cells [role=meter]').length") == 2

    def test_forty_eight_cells_fit_a_phone(self, browser: Browser) -> None:
        cells = [3.3 + number / 1000 for number in range(48)]
        with fake_bridge(live(cell_voltages=cells), health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            assert page.evaluate("document.querySelectorAll('.cell').length") == 48
            assert page.evaluate("document.documentElement.scrollWidth") == 390


class TestAlarms:
    def test_alarms_are_told_in_words_with_their_level(self, browser: Browser) -> None:
        alarms = [
            {"code": "cell_overvoltage", "level": "warning", "cell": 7},
            {"code": "charge_overtemperature", "level": "protection", "cell": None},
            {"code": "some_new_code", "level": "fault", "cell": None},
        ]
        battery = live(alarms=alarms, problem=True, charge_enabled=False)
        with fake_bridge(battery, health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            assert page.text(".alarms").split("\n")[-6:] == [
                "Cell voltage too high, cell 7", "Warning",
                "Too hot to charge", "Protection active",
                "Some new code", "Fault",
            ]
            assert page.text(".remarks") == "Charging is switched off"

    def test_alarms_of_a_battery_that_cannot_be_heard_are_told_as_old(self, browser: Browser) -> None:
        battery = offline("silent", alarms=[{"code": "soc_low", "level": "warning", "cell": None}], problem=True)
        with fake_bridge(battery, health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            assert page.text(".alarms.old").split("\n")[-2:] == ["State of charge low", "Warning, when last heard"]

    def test_a_full_battery_is_no_trouble(self, browser: Browser) -> None:
        battery = live(alarms=[{"code": "soc_high", "level": "warning", "cell": None}], problem=False, soc=100.0)
        with fake_bridge(battery, health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            assert page.evaluate("document.querySelectorAll('.alarms .calm').length") == 1
            assert page.evaluate("document.querySelectorAll('.alarms .warn, .alarms .bad').length") == 0


class TestSeveralBatteries:
    def test_each_can_be_chosen_by_touch_and_keyboard_and_bookmarked(self, browser: Browser) -> None:
        house, boat = live("a", name="House"), live("b", name="Boat", soc=12.3)
        van = offline("asleep", battery="c", name="Van")
        with fake_bridge(house, boat, van, health=health()) as bridge, browser.open() as page:
            show(page, bridge)
            assert page.text(".hero h2") == "House"
            assert page.text(".chooser").split("\n") == [
                "House", "76.5 %", "Discharging 653 W",
                "Boat", "12.3 %", "Discharging 653 W",
                "Van", "76.5 %", "Asleep",
            ]

            page.click(".chooser a:nth-child(2)")
            page.until_text("Boat", ".hero h2")
            assert page.evaluate("location.hash") == "#b"
            assert page.text(".gauge").startswith("12.3%")
            assert page.evaluate("document.querySelector('[aria-current]').innerText").startswith("Boat")

            page.press("Tab")
            page.press("Enter")
            page.until_text("Van", ".hero h2")
            page.until_text("The battery is asleep", "main")

            page.reload()
            page.until_text("Van", ".hero h2")

    def test_a_battery_that_is_gone_disappears_when_the_bridge_returns(self, browser: Browser) -> None:
        house, boat = live("a", name="House"), live("b", name="Boat")
        with fake_bridge(house, boat, health=health()) as bridge, browser.open() as page:
            show(page, bridge)
            page.until_text("Boat", ".chooser")

            bridge.stop()
            del bridge.batteries["b"]
            bridge.start()

            page.until("!document.querySelector('.chooser')", within=15)


def test_without_a_battery_the_page_tells_how_to_add_one(browser: Browser) -> None:
    with fake_bridge(health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        page.until_text("No battery yet")
        assert "smartbms detect" in page.text()
        assert '[[battery]]\nid = "main"' in page.text("pre")


def test_an_emulated_battery_is_told_from_a_real_one(browser: Browser) -> None:
    with fake_bridge(live(emulated=True), health=health()) as bridge, browser.open() as page:
        show(page, bridge)
        assert page.text(".banner").startswith("Emulated battery.")

        bridge.say(live(emulated=False))
        page.until("!document.querySelector('.banner')")


@pytest.mark.parametrize(("status", "words"), [
    ("ok", "Running well"), ("warn", "Needs attention"), ("bad", "In trouble"),
])
def test_health_of_the_bridge_comes_with_advice(browser: Browser, status: str, words: str) -> None:
    advice = [] if status == "ok" else ["The bridge reacts slowly (62 ms): raise poll_interval to 2."]
    with fake_bridge(live(), health=health(status, *advice)) as bridge, browser.open() as page:
        show(page, bridge)

        assert page.text(".bridge .status") == words
        assert page.text(".bridge .advice") == "".join(advice)
        assert ("The bridge is in trouble" in page.text("main")) == (status == "bad")
        page.click(".bridge summary")
        assert "Reaction time\n3.1 ms" in page.text(".bridge")
        assert "MQTT running" in page.text(".bridge")
        assert "connected to mqtt://192.168.1.20" in page.text(".bridge")


def test_hostile_text_is_text(browser: Browser) -> None:
    attack = "<img src=x onerror=alert(1)>'\"&{{7*7}}"
    battery = offline("silent", name=attack, advice=attack, emulated=True)
    battery["last"] |= {
        "temperatures": [{"name": attack, "value": 1.0}], "alarms": [{"code": attack, "level": attack, "cell": None}],
        "device": {attack: attack},
    }
    trouble = health("bad", attack, attack)
    trouble["services"] = [{"name": attack, "state": attack, "detail": attack, "restarts": 0}]
    with fake_bridge(battery, health=trouble) as bridge, browser.open() as page:
        show(page, bridge)
        page.click(".bridge summary")

        assert page.text(".hero h2") == attack
        assert page.text().count("<img src=x") >= 7
        assert page.evaluate("document.querySelectorAll('img').length") == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.errors() == []


def test_documents_that_make_no_sense_do_not_break_the_page(browser: Browser) -> None:
    nonsense = live() | {
        "voltage": "53", "soc": [1], "cell_voltages": {"a": 1}, "temperatures": [None, 3, {"value": "hot"}],
        "alarms": [None, 7], "balancing_cells": "many", "device": None, "link": "brand_new", "ages": None,
    }
    with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        bridge.say(nonsense)

        page.until_text("The battery is not live")
        assert page.errors() == []


class TestScreenReader:
    def test_hears_of_changes_and_not_of_values(self, browser: Browser) -> None:
        with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
            show(page, bridge)
            for soc in (76.6, 76.7, 76.8):
                bridge.say(live(soc=soc))
                page.until_text(str(soc), ".gauge")
            assert page.evaluate("document.querySelector('[role=status]').textContent") == ""

            bridge.say(live(alarms=[{"code": "soc_low", "level": "warning", "cell": None}], problem=True))
            said = "document.querySelector('[role=status]').textContent"
            page.until(f"{said} === 'Battery, alarm: State of charge low.'")

            bridge.say(offline("asleep"))
            page.until(f"{said} === 'Battery: Asleep.'")

            bridge.say(live())
            page.until(f"{said} === 'Battery: Live. Battery: no more alarms.'")

    def test_finds_landmarks_headings_and_meters(self, browser: Browser) -> None:
        with fake_bridge(live(), health=health()) as bridge, browser.open() as page:
            show(page, bridge)

            assert page.evaluate("document.querySelectorAll('header.top, main, footer').length") == 3
            assert page.evaluate("[...document.querySelectorAll('h1')].map((each) => each.innerText)") == ["smartbms"]
            gauge = "document.querySelector('.gauge')"
            assert page.evaluate(f"[{gauge}.role, {gauge}.ariaLabel, {gauge}.ariaValueNow, {gauge}.ariaValueText]") == [
                "meter", "State of charge", "76.5", "76.5 %",
            ]


def test_everything_to_touch_is_large_enough(browser: Browser) -> None:
    with fake_bridge(live("a"), live("b"), health=health()) as bridge, browser.open() as page:
        show(page, bridge)

        sizes = page.evaluate("""[...document.querySelectorAll('a, button, summary')].map((each) => {
            const { width, height } = each.getBoundingClientRect();
            return Math.min(width, height);
        })""")
        assert len(sizes) == 3
        assert min(sizes) >= 44


def test_nothing_moves_where_less_motion_is_wanted(browser: Browser) -> None:
    moving = """[...document.querySelectorAll('*')]
        .filter((each) => getComputedStyle(each).transitionDuration !== '0s').length"""
    with fake_bridge(live(), health=health()) as bridge:
        with browser.open(calm=False) as page:
            show(page, bridge)
            assert page.evaluate(moving) > 0
        with browser.open(calm=True) as page:
            show(page, bridge)
            assert page.evaluate(moving) == 0


def test_the_first_load_is_small_and_comes_from_the_bridge_alone(browser: Browser) -> None:
    with fake_bridge(live(emulated=True), health=health()) as bridge, browser.open() as page:
        show(page, bridge)
        page.until_text("Running well")

        assert page.bytes_received() < 40 * 1024
        assert [each for each in page.requests() if not each.startswith((bridge.url, "data:image/svg+xml"))] == []
        assert page.errors() == []
