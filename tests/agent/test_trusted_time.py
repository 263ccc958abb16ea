"""What time it is for a device whose clock nobody can trust, judged by the real verifier with a clock that the test sets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from agent.core.clock_floor import Floor, judged_now, raised
from agent.core.memory import Memory
from tests.sim.judge import Judge
from tests.sim.releases import make_release
from tests.sim.repository import Repository
from tests.sim.signed import envelope, wish_for

NOW = datetime.now(timezone.utc).replace(microsecond=0)
HOUR, DAY, YEARS = timedelta(hours=1), timedelta(days=1), timedelta(days=20000)
moments = st.datetimes(timezones=st.just(timezone.utc))


class Bench:
    """A device, and the fleet's repository that it hears."""

    def __init__(self, folder: Path) -> None:
        """Provision a device with the first root, and list a release."""
        self.repository = Repository()
        self.device = Judge(folder, self.repository.root)
        self.repository.list(make_release(1))

    def judge(self, clock: datetime, *, issued_at: datetime = NOW, generation: int = 1, lasts: timedelta = DAY) -> str:
        """Return `verified`, or the class of the refusal, of a wish that the device hears at a time."""
        wish = wish_for("pi-1", generation, (make_release(1),), now=issued_at, expires_in=lasts)
        return self.hear(clock, envelope(wish, self.repository.director))

    def hear(self, clock: datetime, message: bytes) -> str:
        """Return the verdict on a message."""
        return self.device.hear(self.repository.files, message, clock)

    @property
    def floor(self) -> datetime | None:
        """The moment that the device takes for passed."""
        return self.device.floor


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_clock_far_behind_does_not_stop_updates(bench: Bench) -> None:
    assert bench.judge(datetime(1970, 1, 1, tzinfo=timezone.utc)) == "verified"
    assert bench.floor == NOW


def test_after_a_reboot_without_a_clock_old_metadata_is_still_refused_as_a_freeze(bench: Bench) -> None:
    # Given a device that has verified a wish of today, and metadata that ends in an hour
    bench.repository.sign(expires=NOW + HOUR)
    assert bench.judge(NOW) == "verified"
    bench.repository.sign(expires=NOW + HOUR)
    # When a later wish has moved the floor, and the clock falls back to the epoch
    assert bench.judge(NOW, issued_at=NOW + HOUR / 2, generation=2) == "verified"
    bench.repository.sign(expires=NOW + HOUR / 4)
    # Then metadata that ended before the floor is no longer believed
    assert bench.judge(datetime(1970, 1, 1, tzinfo=timezone.utc), generation=3) == "freeze"


def test_a_wish_that_ended_before_the_floor_is_refused_whatever_the_clock_says(bench: Bench) -> None:
    assert bench.judge(NOW) == "verified"
    assert bench.judge(NOW - YEARS, issued_at=NOW - DAY, generation=2, lasts=HOUR) == "expired"


def test_a_clock_far_ahead_refuses_for_as_long_as_it_is_wrong_and_leaves_no_trace(bench: Bench) -> None:
    assert bench.judge(NOW) == "verified"
    assert bench.judge(NOW + YEARS, generation=2) == "freeze"
    assert bench.floor == NOW
    assert bench.judge(NOW, generation=2) == "verified"


def test_a_clock_ahead_within_the_metadatas_life_does_not_raise_the_floor(bench: Bench) -> None:
    assert bench.judge(NOW + DAY / 2) == "verified"
    assert bench.floor == NOW


def test_the_timestamp_brings_the_floor_forward_between_wishes(bench: Bench) -> None:
    bench.repository.sign(issued_at=NOW + HOUR)
    assert bench.judge(NOW) == "verified"
    assert bench.floor == NOW + HOUR


def test_a_forged_wish_does_not_raise_the_floor(bench: Bench) -> None:
    assert bench.judge(NOW) == "verified"
    forged = envelope(wish_for("pi-1", 2, (), now=NOW + HOUR), CryptoSigner.generate_ed25519())
    assert bench.hear(NOW, forged) == "forged"
    assert bench.floor == NOW


def test_a_stolen_director_key_cannot_push_the_floor_past_the_timestamps_end(bench: Bench) -> None:
    assert bench.judge(NOW, issued_at=NOW + YEARS) == "verified"
    assert bench.floor is None
    assert bench.judge(NOW, generation=2) == "verified"
    assert bench.floor == NOW


def test_after_stolen_online_keys_signed_a_time_far_ahead_a_new_root_brings_the_device_back(bench: Bench) -> None:
    # Given a thief of timestamp, snapshot and director keys, who signed far ahead and counted far up
    far = NOW + timedelta(days=300)
    bench.repository.sign(expires=far + DAY, issued_at=far)
    assert bench.judge(NOW, issued_at=far, generation=2**62) == "verified"
    assert bench.floor == far
    bench.repository.sign()
    assert bench.judge(NOW, generation=2) == "freeze"
    # When the root names other keys, offline
    bench.repository.rotate("snapshot", "timestamp")
    bench.repository.name_director(CryptoSigner.generate_ed25519())
    # Then the device takes time and generations from the new keys alone
    assert bench.judge(NOW, generation=2) == "verified"
    assert (bench.floor, bench.device.memory.generation) == (NOW, 2)


def test_versions_that_stolen_keys_counted_up_are_forgotten_with_the_keys(bench: Bench) -> None:
    bench.repository.version = 10**6
    bench.repository.sign()
    assert bench.judge(NOW) == "verified"
    bench.repository.version = 2
    bench.repository.sign()
    assert bench.judge(NOW, generation=2) == "rollback"
    bench.repository.version = 3
    bench.repository.rotate("snapshot", "timestamp")
    assert bench.judge(NOW, generation=2) == "verified"


def test_a_wish_of_the_keys_before_is_no_wish_any_more(bench: Bench) -> None:
    old = envelope(wish_for("pi-1", 5, (make_release(1),)), bench.repository.director)
    assert bench.hear(NOW, old) == "verified"
    bench.repository.name_director(CryptoSigner.generate_ed25519())
    assert bench.judge(NOW, generation=2) == "verified"
    assert bench.hear(NOW, old) == "forged"


@pytest.mark.parametrize("tamper", [lambda raw: raw.replace(b'"version":2', b'"version":3'), lambda raw: raw[:-2], lambda _: b"{}"])
def test_a_root_that_is_not_what_the_old_keys_signed_is_refused(bench: Bench, tamper: Callable[[bytes], bytes]) -> None:
    assert bench.judge(NOW) == "verified"
    bench.repository.rotate("timestamp")
    bench.repository.files["2.root.json"] = tamper(bench.repository.files["2.root.json"].replace(b'"version": 2', b'"version":2'))
    assert bench.judge(NOW, generation=2) == "forged"


def test_a_root_that_only_its_own_new_keys_signed_is_refused(bench: Bench) -> None:
    thief = Repository()
    thief.rotate("root")
    bench.repository.files["2.root.json"] = thief.files["2.root.json"]
    assert bench.judge(NOW) == "forged"


@given(clock=moments, floor=moments, signed=moments, bound=moments)
def test_the_floor_never_falls_under_the_same_keys_and_never_follows_the_clock(
    clock: datetime, floor: datetime, signed: datetime, bound: datetime
) -> None:
    old = Floor(moment=floor, keys=("a",))
    assert judged_now(clock, old) >= max(clock, floor)
    new = raised(old, ("a",), (signed,), bound)
    assert new is not None
    assert floor <= new.moment <= max(floor, bound)
    assert new.moment in (floor, signed)
    afresh = raised(old, ("b",), (signed,), bound)
    assert afresh is None or afresh.moment == signed


def test_refusals_are_counted_by_class() -> None:
    memory = Memory().after_refusal("rollback").after_refusal("freeze").after_refusal("rollback")
    assert memory.refused == {"rollback": 2, "freeze": 1}
