from __future__ import annotations

import pytest

from bridge.documents.discovery_changes import Changes, changes, object_id_of, published_by

DEVICE = "homeassistant/device/smartbms_1_main/config"
SOC = "homeassistant/sensor/smartbms_1_main/soc/config"
VOLTAGE = "homeassistant/sensor/smartbms_1_main/voltage/config"
BOTH = {"components": {"soc": {"platform": "sensor", "name": "S"}, "voltage": {"platform": "sensor", "name": "V"}}}
ONLY_SOC = {"components": {"soc": {"platform": "sensor", "name": "S"}}}
MIGRATE = {"migrate_discovery": True}


def test_first_time_everything_is_simply_published() -> None:
    assert changes({}, {DEVICE: BOTH}) == Changes((), (), ((DEVICE, BOTH),))


def test_same_again_is_published_again() -> None:
    assert changes(published_by({DEVICE: BOTH}), {DEVICE: BOTH}) == Changes((), (), ((DEVICE, BOTH),))


def test_component_that_is_gone_is_reduced_before_it_is_left_out() -> None:
    reduced = {"components": {"soc": {"platform": "sensor", "name": "S"}, "voltage": {"platform": "sensor"}}}
    steps = changes(published_by({DEVICE: BOTH}), {DEVICE: ONLY_SOC})
    assert steps == Changes((), (), ((DEVICE, reduced), (DEVICE, ONLY_SOC)))


def test_removed_device_is_cleared() -> None:
    other = "homeassistant/device/smartbms_1_other/config"
    published = published_by({DEVICE: BOTH, other: BOTH})
    assert changes(published, {DEVICE: BOTH}) == Changes((), ((other, None),), ((DEVICE, BOTH),))


def test_single_to_device_asks_clears_and_then_speaks() -> None:
    published = published_by({SOC: {"name": "S"}, VOLTAGE: {"name": "V"}})
    assert changes(published, {DEVICE: BOTH}) == Changes(
        ((SOC, MIGRATE), (VOLTAGE, MIGRATE)), ((SOC, None), (VOLTAGE, None)), ((DEVICE, BOTH),)
    )


def test_single_entity_that_does_not_live_on_is_cleared_without_asking() -> None:
    published = published_by({SOC: {"name": "S"}, VOLTAGE: {"name": "V"}})
    assert changes(published, {DEVICE: ONLY_SOC}) == Changes(
        ((SOC, MIGRATE),), ((SOC, None), (VOLTAGE, None)), ((DEVICE, ONLY_SOC),)
    )


def test_device_to_single_goes_the_same_way_back() -> None:
    wanted = {SOC: {"name": "S"}, VOLTAGE: {"name": "V"}}
    assert changes(published_by({DEVICE: BOTH}), wanted) == Changes(
        ((DEVICE, MIGRATE),), ((DEVICE, None),), ((SOC, {"name": "S"}), (VOLTAGE, {"name": "V"}))
    )


def test_discovery_off_clears_everything() -> None:
    assert changes(published_by({DEVICE: BOTH}), {}) == Changes((), ((DEVICE, None),), ())


@pytest.mark.parametrize(
    ("topic", "object_id"),
    [
        (DEVICE, "smartbms_1_main"),
        (SOC, "smartbms_1_main"),
        ("some/where/device/smartbms_1/config", "smartbms_1"),
        ("homeassistant/status", None),
        ("homeassistant/sensor/smartbms_1_main/soc/state", None),
    ],
)
def test_device_of_a_topic_is_found(topic: str, object_id: str | None) -> None:
    assert object_id_of(topic) == object_id
