"""Of two genuine wishes of one generation a device follows the one that it saw first, judged by the real verifier."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from tests.sim.judge import Judge
from tests.sim.releases import make_release
from tests.sim.repository import Repository
from tests.sim.signed import envelope, wish_for

FIRST, SECOND = "1" * 32, "2" * 32


class Bench:
    """A device, and its fleet's director."""

    def __init__(self, folder: Path) -> None:
        """List two releases."""
        self.repository = Repository()
        self.device = Judge(folder, self.repository.root)
        self.now = datetime.now(timezone.utc)
        self.releases = (make_release(1), make_release(2))
        for release in self.releases:
            self.repository.list(release)

    def hear(self, generation: int, nonce: str | None, *, release: int = 0) -> str:
        """Return `verified`, or the class of the refusal, of a wish that the director signed."""
        self.now += timedelta(seconds=1)
        wish = wish_for("pi-1", generation, (self.releases[release],), nonce=nonce, now=self.now)
        return self.device.hear(self.repository.files, envelope(wish, self.repository.director), self.now)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_another_wish_of_the_generation_that_is_followed_is_refused_as_a_replay(bench: Bench) -> None:
    # Given a wish that is followed, and another of its generation, as after a loss of the server's memory
    assert bench.hear(7, FIRST) == "verified"
    # When whoever can publish brings one after the other, then nothing moves
    assert bench.hear(7, SECOND, release=1) == "replayed"
    assert bench.hear(7, None, release=1) == "replayed"
    assert bench.hear(7, FIRST) == "verified"


def test_a_later_generation_is_followed_whatever_its_nonce(bench: Bench) -> None:
    assert bench.hear(7, FIRST) == "verified"
    assert bench.hear(8, FIRST) == "verified"
    assert bench.hear(9, SECOND, release=1) == "verified"


def test_wishes_of_a_director_that_gives_no_nonce_are_followed_as_before(bench: Bench) -> None:
    assert bench.hear(7, None) == "verified"
    assert bench.hear(7, None) == "verified"
    assert bench.hear(7, FIRST) == "verified"


def test_another_directors_generations_and_nonces_count_from_the_start(bench: Bench) -> None:
    assert bench.hear(7, FIRST) == "verified"
    bench.repository.name_director(CryptoSigner.generate_ed25519())
    assert bench.hear(7, SECOND) == "verified"
