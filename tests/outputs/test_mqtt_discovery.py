from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bridge.battery.model import DeviceInfo
from tests.outputs.parts import QUICK, Bridge, Broker, Embedded, Listener, description, kept_by, live, until

BASE = "smartbms/smartbms"
BRIDGE = "homeassistant/device/smartbms_12ab34cd/config"
MAIN = "homeassistant/device/smartbms_12ab34cd_main/config"
SPARE = "homeassistant/device/smartbms_12ab34cd_spare/config"
SOC = "homeassistant/sensor/smartbms_12ab34cd_main/soc/config"
STATE = f"{BASE}/main/state"
HEALTH = f"{BASE}/bridge/health"


def configurations(kept: dict[str, bytes]) -> set[str]:
    return {topic for topic in kept if topic.endswith("/config")}


# Birth


async def test_start_of_home_assistant_is_answered_in_order_after_a_random_delay(
    broker: Broker, tmp_path: Path
) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await bridge.connected()
        bridge.hub.publish(live(voltage=51.0))
        await until(lambda: listener.on(MAIN) and "cell_voltage_4" in listener.on(MAIN)[-1].json["components"])
        before = len(listener.heard)
        await listener.client.publish("homeassistant/status", "online")
        await listener.next_on(STATE, 2)
        answer = [each.topic for each in listener.heard[before:]]
    assert bridge.random.ranges == [(1.0, 5.0)]
    assert [topic for topic in answer if topic in {BRIDGE, MAIN, f"{BASE}/main/availability", STATE}] == [
        BRIDGE, MAIN, f"{BASE}/main/availability", STATE,
    ]
    assert listener.on(STATE)[1].json["voltage"] == 51.0


async def test_start_on_another_topic_can_be_heard(broker: Broker, tmp_path: Path) -> None:
    settings = {"birth_topic": "ha/here", "discovery_prefix": "ha"}
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url, settings=settings) as bridge:
        await bridge.connected()
        await listener.next_on(HEALTH)
        await listener.client.publish("ha/here", "online")
        await listener.next_on("ha/device/smartbms_12ab34cd_main/config", 2)


async def test_start_that_the_broker_kept_and_the_end_of_home_assistant_are_not_answered(
    broker: Broker, tmp_path: Path
) -> None:
    async with Listener.at(broker) as listener:
        await listener.client.publish("homeassistant/status", "online", qos=1, retain=True)
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH)
            await listener.client.publish("homeassistant/status", "offline", qos=1)
            await listener.next_on("homeassistant/status", 2)
            bridge.hub.publish(live())
            await listener.next_on(STATE)
    assert bridge.random.ranges == []


# Learning


async def test_entities_follow_once_the_battery_has_told_what_it_has(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await bridge.connected()
        first = (await listener.next_on(MAIN)).json["components"]
        bridge.hub.publish(live(soh=98.0, device=DeviceInfo(manufacturer="Daly", firmware="V1.01")))
        document = (await listener.next_on(MAIN, 2)).json
    assert "cell_voltage_1" not in first
    assert "soh" not in first
    assert {"soc", "battery_power", "link_state"} <= set(first)
    assert {"cell_voltage_1", "cell_voltage_4", "soh"} <= set(document["components"])
    assert "cell_voltage_5" not in document["components"]
    assert document["device"]["sw_version"] == "V1.01"


async def test_what_a_battery_has_is_known_after_a_restart(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener:
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            bridge.hub.publish(live())
            await until(lambda: listener.on(MAIN) and "cell_voltage_4" in listener.on(MAIN)[-1].json["components"])
        before = len(listener.on(MAIN))
        async with Bridge(tmp_path, broker.url) as again:
            await again.connected()
            document = (await listener.next_on(MAIN, before + 1)).json
    assert "cell_voltage_4" in document["components"]


async def test_cells_that_are_gone_are_removed_in_two_steps(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await bridge.connected()
        bridge.hub.publish(live())
        await until(lambda: listener.on(MAIN) and "cell_voltage_4" in listener.on(MAIN)[-1].json["components"])
        before = len(listener.on(MAIN))
        bridge.hub.publish(live(cell_count=3, cell_voltages=(3.3, 3.3, 3.3)))
        await listener.next_on(MAIN, before + 2)
    removing, clean = (each.json["components"] for each in listener.on(MAIN)[before:before + 2])
    assert removing["cell_voltage_4"] == {"platform": "sensor"}
    assert "cell_voltage_4" not in clean
    assert "cell_voltage_3" in clean


async def test_page_address_that_becomes_known_later_is_announced(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url, timing=QUICK) as bridge:
        await bridge.connected()
        assert "configuration_url" not in (await listener.next_on(MAIN)).json["device"]
        bridge.page = "http://192.168.1.5:6789/"
        device = (await listener.next_on(MAIN, 2)).json["device"]
    assert device["configuration_url"] == "http://192.168.1.5:6789/"


# Migration


async def test_single_entities_move_to_the_device_and_back_without_losing_themselves(
    broker: Broker, tmp_path: Path
) -> None:
    async with Listener.at(broker) as listener:
        async with Bridge(tmp_path, broker.url, settings={"discovery": "single"}) as bridge:
            await bridge.connected()
            single = (await listener.next_on(SOC)).json
            await listener.next_on(HEALTH)
        before = len(listener.heard)
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH, 2)
        moved = [(each.topic, each.payload) for each in listener.heard[before:] if each.topic in {SOC, MAIN}]
        assert [topic for topic, _ in moved] == [SOC, SOC, MAIN]
        assert msgspec.json.decode(moved[0][1]) == {"migrate_discovery": True}
        assert moved[1][1] == b""
        assert msgspec.json.decode(moved[2][1])["components"]["soc"]["unique_id"] == single["unique_id"]
        assert configurations(await kept_by(broker)) == {BRIDGE, MAIN}

        before = len(listener.heard)
        async with Bridge(tmp_path, broker.url, settings={"discovery": "single"}) as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH, 3)
        moved = [(each.topic, each.payload) for each in listener.heard[before:] if each.topic in {SOC, MAIN}]
        assert [topic for topic, _ in moved] == [MAIN, MAIN, SOC]
        assert msgspec.json.decode(moved[0][1]) == {"migrate_discovery": True}
        assert moved[1][1] == b""
        assert not configurations(await kept_by(broker)) & {BRIDGE, MAIN}


# Cleaning up


async def test_battery_that_is_no_longer_configured_leaves_nothing(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener:
        both = (description("main"), description("spare"))
        async with Bridge(tmp_path, broker.url, batteries=both) as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH)
        assert SPARE in await kept_by(broker)
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH, 2)
    kept = await kept_by(broker)
    assert configurations(kept) == {BRIDGE, MAIN}
    assert not [topic for topic in kept if "/spare/" in topic]
    assert f"{BASE}/main/link" in kept


async def test_documents_that_were_forgotten_are_found_and_those_of_others_left_alone(
    broker: Broker, tmp_path: Path
) -> None:
    foreign = {
        "homeassistant/device/smartbms_99999999_spare/config": b'{"origin":{"name":"SmartBMS Bridge"}}',
        "homeassistant/sensor/zigbee/temperature/config": b'{"name":"T"}',
        "homeassistant/sensor/plain/config": b'{"name":"P"}',
    }
    own = {
        SPARE: b'{"components":{"soc":{"platform":"sensor"}}}',
        "homeassistant/sensor/smartbms_12ab34cd_spare/soc/config": b"not even JSON",
    }
    async with Listener.at(broker) as listener:
        for topic, payload in (foreign | own).items():
            await listener.client.publish(topic, payload, qos=1, retain=True)
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH)
    assert configurations(await kept_by(broker)) == {BRIDGE, MAIN, *foreign}


async def test_discovery_off_takes_the_documents_away(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener:
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH)
        async with Bridge(tmp_path, broker.url, settings={"discovery": "off"}) as bridge:
            await bridge.connected()
            bridge.hub.publish(live())
            await listener.next_on(STATE)
    assert configurations(await kept_by(broker)) == set()


async def test_values_kept_by_a_killed_run_are_cleared_at_the_next_start(broker: Broker, tmp_path: Path) -> None:
    voltage = f"{BASE}/main/values/voltage"
    (tmp_path / "mqtt.json").write_text(f'{{"kept": ["{voltage}", "{BASE}/main/link"]}}')
    async with Listener.at(broker) as listener:
        await listener.client.publish(voltage, "53.1", qos=1, retain=True)
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH)
    assert voltage not in await kept_by(broker)


async def test_damaged_manifest_only_costs_a_look_at_the_broker(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "mqtt.json").write_text('{"discovery": [1, 2')
    async with Listener.at(broker) as listener:
        await listener.client.publish(SPARE, "{}", qos=1, retain=True)
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH)
    assert configurations(await kept_by(broker)) == {BRIDGE, MAIN}


async def test_data_directory_that_cannot_be_written_does_not_stop_publishing(tmp_path: Path) -> None:
    broker = Embedded()
    await broker.start()
    try:
        async with Listener.at(broker) as listener, Bridge(tmp_path / "gone", broker.url) as bridge:
            await bridge.connected()
            bridge.hub.publish(live())
            await listener.next_on(STATE)
    finally:
        await broker.stop()


# Names


async def test_second_bridge_of_the_same_name_takes_another_segment_and_keeps_it(
    broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with Listener.at(broker) as listener, Bridge(tmp_path / "one", broker.url) as first:
        await first.connected()
        first.hub.publish(live(voltage=51.0))
        await listener.next_on(STATE)
        async with Bridge(tmp_path / "two", broker.url, uid="9876fedc") as second:
            await second.connected()
            second.hub.publish(live(voltage=52.0))
            assert (await listener.next_on("smartbms/smartbms-fedc/main/state")).json["voltage"] == 52.0
        assert (first.remembered, second.remembered) == (["smartbms"], ["smartbms-fedc"])
        assert "the topics of this one begin with smartbms/smartbms-fedc" in second.board.details("running")[0]
        kept = await kept_by(broker)
        assert kept[f"{BASE}/bridge/availability"] == b"online"
        assert kept["smartbms/smartbms-fedc/bridge/availability"] == b"offline"
        assert [each.json["voltage"] for each in listener.on(STATE)] == [51.0]
        document = msgspec.json.decode(kept["homeassistant/device/smartbms_9876fedc_main/config"])
        assert document["state_topic"] == "smartbms/smartbms-fedc/main/state"


async def test_look_at_the_broker_publishes_nothing_and_leaves_no_will(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener:
        await listener.client.publish(f"{BASE}/bridge/info", '{"uid":"9876fedc"}', qos=1, retain=True)
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            await listener.next_on("smartbms/smartbms-34cd/bridge/health")
        await until(lambda: listener.on("smartbms/smartbms-34cd/bridge/availability")[-1].payload == b"offline")
    assert [each.topic for each in listener.heard if each.topic.startswith(f"{BASE}/")] == [f"{BASE}/bridge/info"]


@pytest.mark.parametrize("junk", ["junk", "[1]", '{"uid": null}', '{"uid": "not hexadecimal"}'])
async def test_junk_where_a_bridge_says_who_it_is_does_not_rename_this_one(
    broker: Broker, tmp_path: Path, junk: str
) -> None:
    async with Listener.at(broker) as listener:
        await listener.client.publish(f"{BASE}/bridge/info", junk, qos=1, retain=True)
        async with Bridge(tmp_path, broker.url) as bridge:
            await bridge.connected()
            await listener.next_on(f"{BASE}/bridge/health")
    assert bridge.remembered == ["smartbms"]


async def test_name_that_was_settled_is_used_without_looking(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url, known_topic="smartbms-34cd") as bridge:
        await bridge.connected()
        await listener.next_on("smartbms/smartbms-34cd/bridge/health")
    assert bridge.remembered == []


async def test_name_that_was_settled_elsewhere_is_looked_up_again_where_another_has_it(
    broker: Broker, tmp_path: Path
) -> None:
    async with Listener.at(broker) as listener:
        await listener.client.publish(f"{BASE}/bridge/info", '{"uid":"9876fedc"}', qos=1, retain=True)
        async with Bridge(tmp_path, broker.url, known_topic="smartbms") as bridge:
            await bridge.connected()
            await listener.next_on("smartbms/smartbms-34cd/bridge/health")
    assert bridge.remembered == ["smartbms-34cd"]


async def test_renamed_bridge_leaves_nothing_under_its_old_name(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener:
        async with Bridge(tmp_path, broker.url, known_topic="smartbms") as bridge:
            await bridge.connected()
            await listener.next_on(HEALTH)
        async with Bridge(tmp_path, broker.url, name="shed", known_topic="smartbms") as bridge:
            await bridge.connected()
            await listener.next_on("smartbms/shed/bridge/health")
    kept = await kept_by(broker)
    assert bridge.remembered == ["shed"]
    assert not [topic for topic in kept if topic.startswith(f"{BASE}/")]
    assert msgspec.json.decode(kept[MAIN])["components"]["soc"]["unique_id"] == "12ab34cd_main_soc"
