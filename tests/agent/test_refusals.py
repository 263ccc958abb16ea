"""What an agent must not follow: every attack is refused by its class, and inference goes on untouched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest
from securesystemslib.signer import CryptoSigner

from contracts.messages import Reported, Want
from contracts.shadow import ShadowTerms
from contracts.topics import of_device, of_trust_file
from contracts.trust import MAX_ENVELOPE_BYTES, MAX_TRUST_FILE_BYTES
from tests.agent.conftest import DEVICE, AgentProcess, listening_fleet, provisioned_device, running_broker
from tests.agent.test_update_journeys import committed
from tests.sim.fleet import SimFleet
from tests.sim.releases import Release, make_release
from tests.sim.signed import envelope, wish_for

TOPIC = of_device(DEVICE, "desired")


def forge(fleet: SimFleet, release: Release) -> None:
    """Sign with another key that pretends to be the director's."""
    fleet.publish(TOPIC, envelope(wish_for(DEVICE, 3, (release,)), CryptoSigner.generate_ed25519()))


def alter(fleet: SimFleet, release: Release) -> None:
    """Swap the payload under a genuine signature."""
    genuine = envelope(wish_for(DEVICE, 3, ()), fleet.repository.director)
    other = envelope(wish_for(DEVICE, 3, (release,)), CryptoSigner.generate_ed25519())
    head, tail = b'{"payload":"', b'","payloadType"'
    fleet.publish(TOPIC, head + other[len(head) : other.index(tail)] + genuine[genuine.index(tail) :])


def scramble(fleet: SimFleet, _release: Release) -> None:
    """Send no envelope at all."""
    fleet.publish(TOPIC, b'{"payload": 7, "signatures": {}}')


def replay(fleet: SimFleet, release: Release) -> None:
    """Send a genuine wish of an older generation."""
    fleet.publish(TOPIC, envelope(wish_for(DEVICE, 0, (release,)), fleet.repository.director))


def misdirect(fleet: SimFleet, release: Release) -> None:
    """Send a genuine wish for another device."""
    fleet.publish(TOPIC, envelope(wish_for("pi-2", 3, (release,)), fleet.repository.director))


def outlive(fleet: SimFleet, release: Release) -> None:
    """Send a genuine wish that has expired."""
    fleet.publish(TOPIC, envelope(wish_for(DEVICE, 3, (release,), expires_in=timedelta(seconds=-1)), fleet.repository.director))


def invent(fleet: SimFleet, _release: Release) -> None:
    """Wish for a release that the release key never signed."""
    fleet.wish(DEVICE, 3, make_release(9))


def slip_in(fleet: SimFleet, _release: Release) -> None:
    """Wish for a release that the release key never signed, only to run in shadow."""
    fleet.shadow(DEVICE, 3, make_release(1), make_release(8), ShadowTerms(share=0.1))


def bloat(fleet: SimFleet, _release: Release) -> None:
    """Send more than any wish is."""
    fleet.publish(TOPIC, b"{" * (MAX_ENVELOPE_BYTES + 1))


def bloat_metadata(fleet: SimFleet, _release: Release) -> None:
    """Send more than any file of metadata is."""
    fleet.publish(of_trust_file("timestamp.json"), b"{" * (MAX_TRUST_FILE_BYTES + 1))


def mistake(fleet: SimFleet, _release: Release) -> None:
    """Wish for a release made for other hardware."""
    other = make_release(5, targets=("coral",))
    fleet.release(other)
    fleet.wish(DEVICE, 3, other)


def freeze(fleet: SimFleet, release: Release) -> None:
    """Publish metadata that has expired."""
    fleet.repository.sign(expires=datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=1))
    fleet.publish_trust()
    fleet.wish(DEVICE, 3, release)


def turn_back(fleet: SimFleet, release: Release) -> None:
    """Publish an older timestamp, genuinely signed."""
    old = fleet.repository.files["timestamp.json"]
    fleet.repository.sign()
    fleet.publish_trust()
    fleet.wish(DEVICE, 3, release)
    fleet.wait_for_model(DEVICE, lambda model: model.current == release.ref)
    fleet.publish(of_trust_file("timestamp.json"), old)


def mix(fleet: SimFleet, release: Release) -> None:
    """Publish a genuine snapshot under the name of a newer one."""
    old = fleet.repository.files[f"{fleet.repository.version}.snapshot.json"]
    fleet.repository.sign()
    fleet.repository.files[f"{fleet.repository.version}.snapshot.json"] = old
    fleet.publish_trust()
    fleet.wish(DEVICE, 3, release)


def swell(fleet: SimFleet, release: Release) -> None:
    """Publish a timestamp that is larger than any."""
    fleet.publish(of_trust_file("timestamp.json"), b" " * 100_000)
    fleet.wish(DEVICE, 3, release)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SimFleet, AgentProcess]]:
    """A device that serves release 1 and is left as it was by every attack, while release 2 is listed."""
    folder = tmp_path_factory.mktemp("attacks")
    with running_broker(folder) as broker, listening_fleet(broker) as fleet, provisioned_device(folder, fleet) as device:
        device.start()
        committed(fleet, device, 1)
        fleet.release(make_release(2))
        yield fleet, device


@pytest.mark.parametrize(
    ("attack", "refusal"),
    [
        (forge, "forged"),
        (alter, "forged"),
        (scramble, "forged"),
        (replay, "replayed"),
        (misdirect, "wrong_device"),
        (outlive, "expired"),
        (invent, "not_listed"),
        (slip_in, "not_listed"),
        (bloat, "endless_data"),
        (bloat_metadata, "endless_data"),
        (mistake, "wrong_hardware"),
    ],
)
def test_a_wish_that_must_not_be_followed_is_refused_by_its_class(
    served: tuple[SimFleet, AgentProcess], attack: Callable[[SimFleet, Release], None], refusal: str
) -> None:
    fleet, device = served
    mark = fleet.mark
    attack(fleet, make_release(2))
    fleet.wait_for_refusal(DEVICE, refusal, since=mark)
    fleet.wait_for(Reported, DEVICE, lambda said: said.refused.get(refusal, 0) > 0 and said.newest_time is not None, since=mark)
    assert device.who_serves() == "1"
    assert fleet.all(Want, since=mark) == []


@pytest.mark.parametrize(("attack", "refusal"), [(freeze, "freeze"), (mix, "mix_and_match"), (swell, "endless_data")])
def test_metadata_that_must_not_be_trusted_is_refused_by_its_class(
    fleet: SimFleet, device: AgentProcess, attack: Callable[[SimFleet, Release], None], refusal: str
) -> None:
    device.start()
    committed(fleet, device, 1)
    mark = fleet.mark
    attack(fleet, make_release(2))
    fleet.wait_for_refusal(DEVICE, refusal, since=mark)
    assert device.who_serves() == "1"
    assert fleet.all(Want, since=mark) == []


def test_an_older_timestamp_is_refused_as_a_rollback(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    committed(fleet, device, 1)
    release = make_release(2)
    fleet.release(release)
    turn_back(fleet, release)
    fleet.wait_for_refusal(DEVICE, "rollback", since=0)
    assert device.who_serves() == "2"


def test_a_wish_waits_until_its_metadata_is_here(fleet: SimFleet, device: AgentProcess) -> None:
    # Given a wish whose metadata has not been published yet
    release = make_release(1)
    fleet.hold(release)
    fleet.repository.list(release)
    device.start()
    fleet.wish(DEVICE, 1, release)
    fleet.wait_for_birth(DEVICE, online=True)
    # When the metadata comes
    fleet.publish_trust()
    # Then the wish is followed
    fleet.wait_for_model(DEVICE, lambda model: model.current == release.ref)
