from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.battery.model import Alarm, AlarmLevel, LinkState, LinkStatus, Temperature
from tests.outputs.parts import (
    QUICK,
    Bridge,
    Broker,
    Listener,
    Mosquitto,
    description,
    kept_by,
    live,
    silent,
    until,
)

BASE = "smartbms/smartbms"
STATE = f"{BASE}/main/state"
LINK = f"{BASE}/main/link"
AVAILABILITY = f"{BASE}/main/availability"
ALARMS = f"{BASE}/main/alarms"
EVENT = f"{BASE}/main/event"
OVERVOLTAGE = Alarm(code="cell_overvoltage", level=AlarmLevel.WARNING, cell=7)
SOC_LOW = Alarm(code="soc_low", level=AlarmLevel.PROTECTION)


async def test_discovery_comes_first_then_availability_then_state(broker: Broker, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, broker.url)
    bridge.hub.publish(live())
    async with Listener.at(broker) as listener, bridge:
        await listener.next_on(STATE)
        order = [
            "homeassistant/device/smartbms_12ab34cd/config", "homeassistant/device/smartbms_12ab34cd_main/config",
            AVAILABILITY, f"{BASE}/bridge/availability", STATE,
        ]
        assert [topic for topic in listener.topics() if topic in order] == order


async def test_reading_arrives_as_the_public_json_object(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await bridge.connected()
        bridge.hub.publish(live(voltage=51.37))
        document = (await listener.next_on(STATE)).json
    assert document["voltage"] == 51.37
    assert document["current"] == -12.3
    assert document["soc"] == 76.5
    assert document["soh"] is None
    assert document["cell_voltages"] == [3.3, 3.301, 3.302, 3.303]
    assert document["link"] == "ok"
    assert 0 <= document["age"] < 5


async def test_broker_keeps_nothing_that_is_live(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url, settings={"values": True}) as bridge:
        await bridge.connected()
        bridge.hub.publish(live(alarms=(SOC_LOW,)))
        await listener.next_on(STATE)
        await listener.next_on(f"{BASE}/main/values/soc")
        await listener.next_on(f"{BASE}/bridge/health")
        bridge.hub.publish(live(alarms=()))
        await listener.next_on(EVENT)
        kept = await kept_by(broker)
    assert set(kept) == {
        "homeassistant/device/smartbms_12ab34cd/config", "homeassistant/device/smartbms_12ab34cd_main/config",
        f"{BASE}/bridge/availability", f"{BASE}/bridge/info", AVAILABILITY, LINK, ALARMS,
    }
    assert kept[AVAILABILITY] == b"online"


async def test_each_accepted_cycle_gives_one_state(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await listener.next_on(f"{BASE}/bridge/health")
        for number in range(1, 6):
            state = live(voltage=50.0 + number)
            bridge.hub.publish(state)
            await listener.next_on(STATE, number)
            bridge.hub.publish(replace(state, link=LinkStatus(state=LinkState.LATE)))  # nothing new was read
            bridge.hub.publish(state)
        await listener.next_on(LINK)
        bridge.hub.publish(live(voltage=60.0))
        await listener.next_on(STATE, 6)
    assert [each.json["voltage"] for each in listener.on(STATE)] == [51.0, 52.0, 53.0, 54.0, 55.0, 60.0]


async def test_battery_that_falls_silent_is_told_once_with_nulls_and_the_reason(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await bridge.connected()
        bridge.hub.publish(live(alarms=(SOC_LOW,)))
        await listener.next_on(STATE)
        await until(lambda: listener.on(LINK)[-1].json["link"] == "ok" and listener.on(ALARMS)[-1].json)
        before = len(listener.heard)
        bridge.hub.publish(silent())
        await until(lambda: listener.on(LINK)[-1].json["link"] == "silent")
        bridge.hub.publish(silent())
        bridge.hub.publish(live(voltage=50.0, alarms=(SOC_LOW,)))
        await listener.next_on(STATE, 3)
        await until(lambda: listener.on(LINK)[-1].json["link"] == "ok" and listener.on(ALARMS)[-1].json)
        told = [each for each in listener.heard[before:] if each.topic.startswith(f"{BASE}/main/")]
    assert [each.topic for each in told[:4]] == [STATE, ALARMS, AVAILABILITY, LINK]
    nulls, alarms, availability, link = told[:4]
    assert nulls.json["voltage"] is None
    assert nulls.json["cell_voltages"] == []
    assert nulls.json["problem"] is None
    assert nulls.json["link"] == "silent"
    assert alarms.json == []
    assert availability.payload == b"offline"
    assert link.json["error"] == "bms_data_error"
    assert link.json["advice"] == "Wake it by a load or a charger."
    again = [each.topic for each in told[4:]]
    assert set(again) == {LINK, AVAILABILITY, ALARMS, STATE}
    assert again[-1] == STATE or not broker.keeps_order
    assert [each.json["voltage"] for each in listener.on(STATE)] == [53.12, None, 50.0]


async def test_battery_that_never_spoke_is_offline_without_a_state(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await bridge.connected()
        await listener.next_on(f"{BASE}/bridge/health")
        bridge.hub.publish(silent())
        await until(lambda: listener.on(LINK)[-1].json["link"] == "silent")
    assert listener.on(LINK)[0].json["link"] == "starting"
    assert {each.payload for each in listener.on(AVAILABILITY)} == {b"offline"}
    assert listener.on(STATE) == []


async def test_clean_stop_says_offline_itself(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener:
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            bridge.hub.publish(live())
            await listener.next_on(STATE)
        await until(lambda: listener.on(f"{BASE}/bridge/availability")[-1].payload == b"offline")
    kept = await kept_by(broker)
    assert kept[f"{BASE}/bridge/availability"] == kept[AVAILABILITY] == b"offline"


async def test_health_and_identity_of_the_bridge_are_published(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url, timing=QUICK):
        health = (await listener.next_on(f"{BASE}/bridge/health", 3)).json
        info = (await listener.next_on(f"{BASE}/bridge/info")).json
    assert health["status"] == "ok"
    assert health["box"]["memory"] == 50 * 1024 * 1024
    assert info["uid"] == "12ab34cd"
    assert info["version"] == "1.2.3"
    assert info["batteries"] == ["main"]
    assert info["started"] == "2026-11-21T01:59:55.000Z"


# Alarms


async def test_alarms_are_kept_and_each_change_is_an_event(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await bridge.connected()
        bridge.hub.publish(live(alarms=(SOC_LOW,)))  # was there before we came: no event
        await listener.next_on(STATE)
        bridge.hub.publish(live(alarms=(SOC_LOW, OVERVOLTAGE)))
        await listener.next_on(EVENT)
        bridge.hub.publish(live(alarms=(OVERVOLTAGE,)))
        await listener.next_on(EVENT, 2)
        kept = await kept_by(broker)
    raised, cleared = (each.json for each in listener.on(EVENT))
    assert (raised["event_type"], raised["code"], raised["level"], raised["cell"]) == (
        "alarm_raised", "cell_overvoltage", "warning", 7,
    )
    assert (cleared["event_type"], cleared["code"]) == ("alarm_cleared", "soc_low")
    assert kept[ALARMS] == b'[{"code":"cell_overvoltage","level":"warning","cell":7}]'


async def test_alarm_that_came_while_the_battery_was_away_is_an_event(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await bridge.connected()
        bridge.hub.publish(live())
        await listener.next_on(STATE)
        bridge.hub.publish(silent())
        await listener.next_on(STATE, 2)
        bridge.hub.publish(live(alarms=(SOC_LOW,)))
        await listener.next_on(EVENT)
    assert [each.json["event_type"] for each in listener.on(EVENT)] == ["alarm_raised"]


# Thinning


async def test_publish_interval_thins_states_but_no_change_of_link_or_alarm(broker: Broker, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, broker.url, settings={"publish_interval": 5.0})
    async with Listener.at(broker) as listener, bridge:
        await listener.next_on(f"{BASE}/bridge/health")
        for second in range(11):
            bridge.clock.fixed = 1000.0 + second
            bridge.hub.publish(live(voltage=50.0 + second))
            await listener.client.publish("tick", str(second), qos=1)
            await listener.next_on("tick", second + 1)
        assert [each.json["voltage"] for each in listener.on(STATE)] == [50.0, 55.0, 60.0]
        bridge.hub.publish(live(voltage=70.0, alarms=(SOC_LOW,)))
        await listener.next_on(STATE, 4)
        bridge.hub.publish(silent())
        await listener.next_on(STATE, 5)
    assert [each.json["voltage"] for each in listener.on(STATE)][3:] == [70.0, None]


# Plain values


async def test_plain_values_have_no_unit_and_unknown_is_said_once_as_nothing(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url, settings={"values": True}) as bridge:
        await bridge.connected()
        warm = (Temperature(name="cell_1", value=21.0), Temperature(name="mosfet", value=None))
        bridge.hub.publish(replace(live(), temperatures=warm, charge_enabled=True, discharge_enabled=False, soh=None))
        await listener.next_on(f"{BASE}/main/cells/4")
        bridge.hub.publish(silent())
        await until(lambda: listener.on(f"{BASE}/main/cells/4")[-1].payload == b"")
        bridge.hub.publish(replace(silent(), link=LinkStatus(state=LinkState.NOISY)))
        await until(lambda: listener.on(LINK)[-1].json["link"] == "noisy")

    def texts(name: str) -> list[bytes]:
        return [each.payload for each in listener.on(f"{BASE}/main/{name}")]

    assert texts("values/voltage") == [b"53.12", b""]
    assert texts("values/charge_enabled") == [b"ON", b""]
    assert texts("values/discharge_enabled") == [b"OFF", b""]
    assert texts("values/temperature_cell_1") == [b"21.0", b""]
    assert texts("values/soh") == texts("values/temperature_mosfet") == []
    assert texts("cells/2") == [b"3.301", b""]
    assert texts("values/age")[1] == b""


async def test_kept_values_are_cleared_when_unknown_and_when_we_leave(broker: Broker, tmp_path: Path) -> None:
    settings = {"values": True, "retain_values": True}
    voltage, state = f"{BASE}/main/values/voltage", f"{BASE}/main/state"
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url, settings=settings) as bridge:
        await bridge.connected()
        bridge.hub.publish(live())
        await listener.next_on(f"{BASE}/main/cells/4")
        kept = await kept_by(broker)
        assert kept[voltage] == b"53.12"
        assert f"{BASE}/main/values/age" in kept
        assert state not in kept
        bridge.hub.publish(silent())
        await until(lambda: listener.on(f"{BASE}/main/cells/4")[-1].payload == b"")
        assert not [topic for topic in await kept_by(broker) if "/values/" in topic or "/cells/" in topic]
        bridge.hub.publish(live())
        await listener.next_on(f"{BASE}/main/cells/4", 3)
    assert not [topic for topic in await kept_by(broker) if "/values/" in topic or "/cells/" in topic]


# MQTT 5


@pytest.mark.needs("mosquitto")
async def test_live_states_carry_expiry_content_type_and_source(mosquitto: Mosquitto, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, mosquitto.url, batteries=(description(poll_interval=7.0),))
    async with Listener.at(mosquitto, version=5) as listener, bridge:
        await bridge.connected()
        bridge.hub.publish(live())
        state = await listener.next_on(STATE)
        assert state.properties.MessageExpiryInterval == 21
        assert state.properties.ContentType == "application/json"
        assert state.properties.UserProperty == [("src", "smartbms"), ("schema", "1")]
        assert not hasattr(listener.on(LINK)[0].properties, "MessageExpiryInterval")
    assert bridge.board.details("running") == [f"Connected to 127.0.0.1:{mosquitto.port} (MQTT 5)."]
