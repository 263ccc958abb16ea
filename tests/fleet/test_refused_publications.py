"""What a broker refuses to take from the fleet is said again later, and keeps nothing else from being said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.topics import of_device
from fleet.errors.server import LinkDownError, MessagesRefusedError
from fleet.south.mqtt import Login, MqttLink
from fleet.south.refusals import FIRST_S, LONGEST_S, Refusals
from fleet.south.rules import FLEET_USER, acl_file
from tests.live.authority import authority, file_of
from tests.live.mosquitto import Mosquitto

WAIT_S = 30.0
ONE, OTHER = of_device("pi-1", "desired"), of_device("pi-2", "desired")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path / "broker")
    mosquitto.start()
    yield mosquitto
    mosquitto.stop()


@pytest.fixture
def link(broker: Mosquitto) -> Iterator[MqttLink]:
    link = MqttLink(Login("127.0.0.1", broker.port, authority().certificate_file, file_of(FLEET_USER)), "test", ())
    link.open()
    until(lambda: link.is_up)
    yield link
    link.close()


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def refusals(link: MqttLink, *topics: str) -> dict[str, int] | None:
    """Publish; return what was refused and why, None where there is no link: mosquitto ends it after a refusal, and it comes back."""
    try:
        link.publish([(topic, b"{}") for topic in topics], retain=True)
    except MessagesRefusedError as error:
        return dict(error.reasons)
    except LinkDownError:
        return None
    return {}


def test_what_the_rules_do_not_allow_is_named_and_said_again_and_the_rest_is_taken(broker: Mosquitto, link: MqttLink) -> None:
    # Given rules by which one of two wishes may not be told
    broker.rule(acl_file().replace(f"user {FLEET_USER}\n", f"user {FLEET_USER}\ntopic deny {ONE}\n"))
    until(lambda: bool(refusals(link, ONE)))
    # When both are told, then the one that was refused is named, and the other is taken
    until(lambda: refusals(link, ONE, OTHER) == {ONE: 0x87})
    # And once the rules allow it, both are taken
    broker.rule(acl_file())
    until(lambda: refusals(link, ONE, OTHER) == {})


def test_a_topic_that_is_refused_again_and_again_is_tried_less_and_less_often_and_any_other_at_once() -> None:
    clock = [100.0]
    refusals = Refusals(lambda: clock[0])
    pauses = []
    for _ in range(9):
        refusals.add(ONE, 0x97)
        assert (refusals.held(ONE), refusals.held(OTHER)) == (0x97, None)
        began_s = clock[0]
        while refusals.held(ONE) is not None:
            clock[0] += 0.5
        pauses.append(clock[0] - began_s)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST_S, LONGEST_S)
    # And one that was taken begins anew
    refusals.take(ONE)
    refusals.add(ONE, 0x97)
    clock[0] += FIRST_S
    assert refusals.held(ONE) is None
