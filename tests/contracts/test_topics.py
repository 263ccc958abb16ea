"""Topics are built and read back without loss, and nothing else is taken for one of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import topics

DIGEST = "ab" * 32


@pytest.mark.parametrize("leaf", topics.UPLINKS)
def test_an_uplink_is_read_back(leaf: str) -> None:
    assert topics.parse_uplink(topics.of_device("pi-1", leaf)) == topics.Uplink("pi-1", leaf)


def test_a_chunk_topic_is_read_back() -> None:
    assert topics.parse_chunk(topics.of_chunk(DIGEST, 17)) == topics.ChunkTopic(DIGEST, 17)


@pytest.mark.parametrize(
    "name", ["1.root.json", "timestamp.json", "12.snapshot.json", "3.targets.json", "director.json", "4.model-digits.v2.json"]
)
def test_a_trust_file_is_read_back(name: str) -> None:
    assert topics.parse_trust_file(topics.of_trust_file(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "../root.json",
        "root.json/x",
        "1.root.json.bak",
        ".root.json",
        "x.targets.json",
        "",
        "1.root.json\n",
        "1.model-.json",
        "2.director.json",
    ],
)
def test_a_name_outside_the_repository_is_no_trust_file(name: str) -> None:
    assert topics.parse_trust_file(topics.of_trust_file(name)) is None


@pytest.mark.parametrize(
    "topic",
    [
        "ff/v1/chunk/x/0",
        "ff/v1/../health",
        "ff/v1/pi/desired",
        "ff/v2/pi/health",
        "ff/v1/PI/health",
        "ff/v1/pi/health\n",
        "ff/v1/trust/birth",
    ],
)
def test_other_topics_are_no_uplinks(topic: str) -> None:
    assert topics.parse_uplink(topic) is None


@given(st.text())
def test_no_topic_is_two_things(topic: str) -> None:
    kinds = [topics.parse_uplink(topic), topics.parse_chunk(topic), topics.parse_trust_file(topic)]
    assert sum(kind is not None for kind in kinds) <= 1
