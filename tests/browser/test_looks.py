"""How every state of the page looks on phone, tablet and desktop, light and dark; kept as pictures for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.browser import Browser
from tests.browser.fake_bridge import fake_bridge, show
from tests.browser.states import UNKNOWN, health, live, offline

pytestmark = pytest.mark.needs("browser")

ALARMS = [
    {"code": "cell_overvoltage", "level": "warning", "cell": 7},
    {"code": "charge_overtemperature", "level": "protection", "cell": None},
]
STATES: dict[str, list[dict[str, Any]]] = {
    "discharging": [live()],
    "charging-emulated": [
        live(emulated=True, name="House battery", soc=45.0, remaining_capacity=126.0, current=41.2, power=2188.5,
             balancing=True, balancing_cells=[7, 12]),
    ],
    "resting-full": [live(current=0.0, power=0.0, soc=100.0, remaining_capacity=280.0)],
    "alarms": [live(alarms=ALARMS, problem=True, charge_enabled=False)],
    "unknown": [live(**UNKNOWN)],
    "late": [live(link="late", age=3.2)],
    "starting": [offline("starting", age=None)],
    "asleep": [offline("asleep")],
    "silent": [offline("silent", age=120)],
    "noisy": [offline("noisy", age=30)],
    "stale": [offline("stale", age=30)],
    "unplugged": [offline("unplugged", age=90_000, alarms=ALARMS)],
    "none": [],
    "several": [
        live("house", name="House"), live("boat", name="Boat", soc=92.1, current=3.0, power=39.9),
        offline("asleep", battery="van", name="Van"),
        live("shed", name="A shed with a name that goes on and on and on", **UNKNOWN),
    ],
}
SCREENS = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1280, 900)}


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_accessible_and_fits_the_screen(browser: Browser, pictures: Path, state: str) -> None:
    advice = "The bridge reacts slowly (62 ms): raise poll_interval to 2, then by 1."
    status = health("warn", advice, loop_delay_p99=0.062) if state == "alarms" else health()
    with fake_bridge(*STATES[state], health=status) as bridge, browser.open() as page:
        show(page, bridge)
        page.until("document.querySelector('.bridge')")
        for screen, (width, height) in SCREENS.items():
            for dark in (False, True):
                page.emulate(width=width, height=height, dark=dark)

                page.screenshot(pictures / f"{state}-{screen}-{'dark' if dark else 'light'}.png")
                assert page.axe() == []
                assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.errors() == []
