"""The small decisions: freshness, status, wishes, and whose turn a chunk is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from contracts.downlinks import ShadowWish
from contracts.lifecycle import Phase
from contracts.messages import Birth, Health, Machine, ModelReport, ReleaseRef, WorkerHealth
from contracts.shadow import ShadowTerms
from fleet.core.freshness import Stamped, is_news, plausible_times
from fleet.core.refusals import trust_line
from fleet.core.releases import check_counter_grows
from fleet.core.status import Gist, status_of
from fleet.core.wishes import LIFETIME, first_wish, renewed, with_release, with_shadow
from fleet.errors.releases import CounterDoesNotGrowError

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
RELEASE = ReleaseRef(model="digits", release=1, manifest_sha256="1" * 64)
MACHINE = Machine(architecture="aarch64", system="linux", python="3.11", cpu_count=4, memory_bytes=1, disk_bytes=1)


def birth(session: str, sequence: int = 1, *, online: bool = True, at: datetime = NOW) -> Birth:
    return Birth(
        session=session * 16, sequence=sequence, sent_at=at, online=online, agent_version="1", hardware="cpu", targets=("cpu",),
        runtimes={}, machine=MACHINE,
    )  # fmt: skip


def health(**changes: object) -> Health:
    values = {"cpu_percent": 1, "memory_used_bytes": 1, "memory_total_bytes": 2, "disk_free_bytes": 50, "disk_total_bytes": 100}
    return Health(session="a" * 16, sequence=1, sent_at=NOW, uptime_s=1, **{**values, **changes})


def stored(message: Birth) -> Stamped:
    return Stamped(message.session, message.sequence, message.sent_at, message.online)


def test_the_will_of_an_older_session_does_not_end_the_newer_one() -> None:
    will = birth("a", online=False, at=NOW)

    assert not is_news(will, stored(birth("b", at=NOW + timedelta(seconds=9))))


def test_the_will_of_the_current_session_is_news_once() -> None:
    will = birth("a", online=False)

    assert is_news(will, stored(birth("a")))
    assert not is_news(will, stored(will))


def test_the_will_of_a_session_whose_birth_was_missed_is_news() -> None:
    assert is_news(birth("b", online=False, at=NOW + timedelta(seconds=9)), stored(birth("a")))


def test_a_repeated_message_is_no_news_and_a_new_session_always_is() -> None:
    assert not is_news(birth("a", 5), stored(birth("a", 5)))
    assert is_news(birth("a", 6), stored(birth("a", 5)))
    assert is_news(birth("b", 1, at=NOW - timedelta(days=9)), stored(birth("a", 5)))


def test_a_time_that_cannot_be_is_replaced_by_that_of_arrival() -> None:
    when = plausible_times(NOW, timedelta(days=30))

    assert when(NOW - timedelta(days=1)) == NOW - timedelta(days=1)
    assert when(NOW + timedelta(days=1)) == NOW
    assert when(datetime(1970, 1, 1, tzinfo=timezone.utc)) == NOW


@pytest.mark.parametrize(
    ("models", "words", "expected"),
    [
        ({}, health(), ("healthy", "")),
        ({"m": ModelReport(phase=Phase.TESTING)}, health(), ("updating", "m: testing")),
        ({"m": ModelReport(phase=Phase.ROLLED_BACK, reason="golden set")}, health(), ("degraded", "m: rolled back: golden set")),
        ({}, health(temperature_c=90), ("degraded", "90 °C")),
        ({}, health(disk_free_bytes=1), ("degraded", "1% of the disk is free")),
        ({}, health(is_throttled=True, is_undervolted=False), ("degraded", "throttled")),
        ({}, health(is_undervolted=True), ("degraded", "under-voltage")),
        ({}, health(workers={"m": WorkerHealth(state="restarting", restarts=3, rss_bytes=0)}), ("degraded", "m: worker restarting")),
        # Falling back to the CPU is shown beside the status: the device does what its release allows.
        (
            {},
            health(workers={"m": WorkerHealth(state="serving", restarts=0, rss_bytes=1, provider="cpu", preferred_provider="tpu")}),
            ("healthy", ""),
        ),
    ],
)
def test_a_device_is_described_by_its_worst_trait(models: dict[str, ModelReport], words: Health, expected: tuple[str, str]) -> None:
    gist = Gist().with_birth(birth("a")).with_models(models).with_health(words)

    assert status_of(gist, NOW, NOW) == expected


def test_a_device_is_new_then_offline_when_its_link_or_its_voice_is_gone() -> None:
    well = Gist().with_health(health())

    assert status_of(Gist(), None, NOW) == ("new", "not heard of yet")
    assert status_of(well.with_birth(birth("a", online=False)), NOW, NOW)[0] == "offline"
    assert status_of(well.with_birth(birth("a")), NOW, NOW + timedelta(hours=1)) == ("offline", "no word for 60 minutes")


def test_a_wish_gets_a_new_generation_only_when_it_changes() -> None:
    first = first_wish("pi-1", NOW)
    second = with_release(first, "digits", RELEASE, NOW)

    assert (first.generation, second.generation, second.models) == (1, 2, {"digits": RELEASE})
    assert with_release(second, "digits", RELEASE, NOW + timedelta(days=1)) is second
    assert with_release(second, "digits", None, NOW).models == {}


def test_a_shadow_is_wished_beside_what_serves_until_either_is_wished_anew() -> None:
    serving = with_release(first_wish("pi-1", NOW), "digits", RELEASE, NOW)
    shadow = ShadowWish(release=RELEASE.model_copy(update={"release": 9}), terms=ShadowTerms(share=0.1))

    beside = with_shadow(serving, "digits", shadow, NOW)

    assert (beside.generation, beside.models, beside.shadow) == (3, {"digits": RELEASE}, {"digits": shadow})
    assert with_shadow(beside, "digits", shadow, NOW) is beside
    assert renewed(beside, NOW + LIFETIME).shadow == {"digits": shadow}
    # The same release again ends it, and so does the candidate itself; another model's is left alone
    assert with_release(beside, "digits", RELEASE, NOW).shadow is None
    assert with_release(beside, "digits", shadow.release, NOW).models == {"digits": shadow.release}
    assert with_release(beside, "faces", RELEASE, NOW).shadow == {"digits": shadow}


def test_a_wish_is_renewed_at_half_its_life() -> None:
    wish = first_wish("pi-1", NOW)

    assert renewed(wish, NOW + LIFETIME / 2 - timedelta(seconds=1)) is wish
    assert renewed(wish, NOW + LIFETIME / 2).generation == 2


def test_a_counter_that_does_not_grow_is_named_with_what_to_do() -> None:
    check_counter_grows("digits", 4, 3)
    with pytest.raises(CounterDoesNotGrowError, match=r"release digits 3: expected a counter above 3, found 3; .* --release 4 or higher"):
        check_counter_grows("digits", 3, 3)


def test_what_a_device_refused_reads_in_one_line() -> None:
    assert trust_line(None, {}) == "nothing verified yet; refused nothing"
    noon = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
    assert trust_line(noon, {"freeze": 1, "wrong_hardware": 3}) == (
        "newest signed time 2026-01-02 12:00 UTC; refused 3 wrong hardware, 1 freeze"
    )
