"""Deltas on the server: each is made once, kept like any file, and never stands in the way of the file itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from contracts.codec import sha256_of
from contracts.downlinks import Offer
from fleet.errors import FleetError
from fleet.south.deltas import MAX_BASES_PER_TARGET, MAX_TARGET_BYTES, Deltas
from fleet.store.artifacts import ArtifactStore
from fleet.store.deltas import DeltaStore
from tests.fleet.broker_client import Login, verdict_on
from tests.fleet.server import FleetProcess

BASE = random.Random(1).randbytes(100_000)
TARGET = BASE[:50_000] + b"a change" + BASE[50_000:]


class Server:
    """The parts under test, in a folder."""

    def __init__(self, folder: Path) -> None:
        """Open them, as a restart does."""
        self.artifacts = ArtifactStore((folder / "artifacts").as_uri())
        self.deltas = Deltas(DeltaStore((folder / "artifacts" / "deltas").as_uri(), self.artifacts), folder)

    def hold(self, raw: bytes) -> str:
        """Store a file and return its digest."""
        incoming = self.artifacts.receive(sha256_of(raw), len(raw))
        incoming.write(raw)
        incoming.finish()
        return sha256_of(raw)

    def answer(self, *bases: str) -> Offer | str:
        """Ask for the target."""
        return self.deltas.answer(sha256_of(TARGET), len(TARGET), bases)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A server that holds the target."""
    server = Server(tmp_path)
    server.hold(TARGET)
    return server


def test_a_delta_is_made_once_and_outlives_the_server(server: Server, tmp_path: Path) -> None:
    base = server.hold(BASE)
    assert (server.answer(base), server.answer(base)) == ("later", "later")
    server.deltas.turn()
    offer = server.answer(base)
    assert isinstance(offer, Offer)
    assert (offer.base, offer.target) == (base, sha256_of(TARGET))
    assert offer.delta.bytes < 2000
    assert server.artifacts.size_of(offer.delta.sha256) == offer.delta.bytes
    assert server.deltas.settled == 1
    assert Server(tmp_path).answer(base) == offer
    server.deltas.turn()
    assert server.deltas.settled == 1


def test_of_several_bases_the_one_with_the_smallest_delta_is_offered(server: Server) -> None:
    near, far = server.hold(TARGET[:-1]), server.hold(TARGET[:60_000] + bytes(10))
    assert server.answer(far, near) == "later"
    server.deltas.turn()
    assert server.answer(far, near) == "later"
    server.deltas.turn()
    offer = server.answer(far, near)
    assert isinstance(offer, Offer)
    assert offer.base == near


def test_a_base_that_helps_little_or_is_unknown_means_the_whole_file(server: Server) -> None:
    other = server.hold(random.Random(2).randbytes(100_000))
    assert server.answer(other) == "later"
    server.deltas.turn()
    assert server.answer(other) == "none"
    assert server.answer("ab" * 32) == "later"
    with pytest.raises(FleetError, match="ab" * 32):
        server.deltas.turn()
    assert server.answer("ab" * 32) == "none"


def test_nobody_makes_the_server_try_without_end(server: Server) -> None:
    for number in range(MAX_BASES_PER_TARGET):
        server.answer(server.hold(random.Random(number).randbytes(1000)))
        server.deltas.turn()
    assert server.answer(server.hold(BASE)) == "none"
    assert server.deltas.answer("cd" * 32, MAX_TARGET_BYTES + 1, (sha256_of(BASE),)) == "none"


def test_no_device_can_make_an_offer(fleet: FleetProcess) -> None:
    device = Login.of_device(fleet, fleet.add_device("pi-a"))
    assert "Not authorized" in verdict_on(device, "ff/v1/pi-a/offer")
    assert "Not authorized" in verdict_on(device, "ff/v1/pi-b/offer")
