from __future__ import annotations

import pytest

from bridge.documents.topics import Topics, own_segment, segment


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smartbms", "smartbms"), ("Shed Nr. 2", "shed-nr-2"), ("a/b+c#d", "a-b-c-d"), ("///", "smartbms"),
        ("Büro", "b-ro"),
    ],
)
def test_name_becomes_one_segment_without_wildcards(name: str, expected: str) -> None:
    assert segment(name) == expected


def test_second_bridge_of_a_name_adds_the_end_of_its_uid() -> None:
    assert own_segment("shed", "12ab34cd") == "shed-34cd"


def test_topics_are_those_of_the_public_interface() -> None:
    topics = Topics("shed")
    assert [
        topics.bridge_availability, topics.bridge_info, topics.bridge_health, topics.availability("main"),
        topics.link("main"), topics.state("main"), topics.alarms("main"), topics.event("main"),
        topics.value("main", "soc"), topics.cell("main", 3),
    ] == [
        "smartbms/shed/bridge/availability", "smartbms/shed/bridge/info", "smartbms/shed/bridge/health",
        "smartbms/shed/main/availability", "smartbms/shed/main/link", "smartbms/shed/main/state",
        "smartbms/shed/main/alarms", "smartbms/shed/main/event", "smartbms/shed/main/values/soc",
        "smartbms/shed/main/cells/3",
    ]
