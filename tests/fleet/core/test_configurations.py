"""The next revision of a device's settings: later than all that the device knows, and built on what is in force there."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from contracts.configuration import BASE, Configuration
from contracts.lifecycle import Phase
from contracts.messages import ModelReport, Outcome, ReleaseRef
from fleet.core.configurations import Setting, has_left, how_it_goes, next_configuration
from fleet.core.wishes import LIFETIME, first_wish, reissued, renewed, with_configuration, with_release

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
WANTED = Configuration(revision=5, settings={"worker.memory_mib": 512})
RELEASE = ReleaseRef(model="digits", release=1, manifest_sha256="1" * 64)


def ref(configuration: Configuration) -> ReleaseRef:
    return ReleaseRef(model="configuration", release=configuration.revision, manifest_sha256=configuration.sha256)


def report(result: Phase, about: Configuration = WANTED) -> ModelReport:
    outcome = Outcome(release=ref(about), result=result, reason="link: gone", at=NOW)
    return ModelReport(phase=result, current=ref(BASE), last=outcome)


def test_a_wish_keeps_its_settings_through_all_that_becomes_of_it() -> None:
    wish = with_configuration(first_wish("pi-1", NOW), WANTED, NOW)
    later = NOW + LIFETIME / 2
    for after in (with_release(wish, "digits", RELEASE, NOW), renewed(wish, later), reissued(wish, NOW)):
        assert after.configuration == WANTED
        assert after.generation == wish.generation + 1
    assert first_wish("pi-1", NOW + timedelta(1)).configuration is None


def test_settings_are_set_and_unset_on_top_of_those_before() -> None:
    before = {"worker.memory_mib": 512, "telemetry.window_s": 5.0}
    assert Setting({"telemetry.window_s": 6.0}, frozenset({"worker.memory_mib"})).on(before) == {"telemetry.window_s": 6.0}
    assert Setting({}).on(before) == before


def test_a_device_has_left_what_it_rejected_or_rolled_back_and_nothing_else() -> None:
    assert has_left(WANTED, report(Phase.ROLLED_BACK))
    assert has_left(WANTED, report(Phase.REJECTED))
    # What failed for a reason that may pass is tried again by the device itself
    assert not has_left(WANTED, report(Phase.FAILED))
    assert not has_left(WANTED, report(Phase.COMMITTED))
    assert not has_left(WANTED, report(Phase.ROLLED_BACK, BASE))
    assert not has_left(WANTED, None)
    assert not has_left(None, report(Phase.ROLLED_BACK))


REVISIONS = st.integers(2, 1000) | st.none()


@given(REVISIONS, REVISIONS, REVISIONS)
def test_a_revision_follows_all_that_the_device_was_wished_or_told_of(wished: int | None, current: int | None, last: int | None) -> None:
    """A fleet restored from an old copy would else wish what the device takes for a rollback."""
    told = None
    if current is not None:
        outcome = None if last is None else report(Phase.FAILED, Configuration(revision=last, settings={})).last
        told = ModelReport(phase=Phase.COMMITTED, current=ref(Configuration(revision=current, settings={})), last=outcome)
    before = None if wished is None else Configuration(revision=wished, settings={})
    following = next_configuration(before, told, {"worker.memory_mib": 1})
    known = [1, wished or 1, *([current, last or 1] if current is not None else [])]
    assert following.revision == max(known) + 1
    assert following.settings == {"worker.memory_mib": 1}


def test_how_a_device_is_with_what_it_was_wished_is_told_by_its_own_word() -> None:
    trying = ModelReport(phase=Phase.STAGING, current=ref(BASE), candidate=ref(WANTED))
    probation = ModelReport(phase=Phase.PROBATION, current=ref(WANTED), previous=ref(BASE))
    done = ModelReport(phase=Phase.COMMITTED, current=ref(WANTED))
    assert how_it_goes(WANTED, None) == ("waiting", "")
    assert how_it_goes(WANTED, ModelReport(phase=Phase.COMMITTED, current=ref(BASE))) == ("waiting", "")
    assert how_it_goes(WANTED, trying)[0] == how_it_goes(WANTED, probation)[0] == "trying"
    assert how_it_goes(WANTED, done) == ("in_force", "")
    assert how_it_goes(WANTED, report(Phase.ROLLED_BACK)) == ("refused", "link: gone")
