"""A release on probation is judged by what it does, and by what the release before it did on the same device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.growth import MIB, Sample
from agent.core.probation import MIN_REQUESTS, Heat, Limits, Unfit, Watch, Work, least_rise, verdict

PROBATION_S = 30.0
BUSY = Work(requests=1000, errors=0, p95s_ms=((20.0, 500), (22.0, 500)))
GOOD = Watch(calm_s=PROBATION_S, is_alive=True, work=BUSY, before=BUSY)


def judged(watch: Watch, limits: Limits | None = None) -> object:
    """Return the verdict, by its name where it is a limit's."""
    found = verdict(watch, limits or Limits(), PROBATION_S)
    return found.name if isinstance(found, Unfit) else found


def growing(mib_per_s: float, *, seconds: int = 30, start_mib: float = 100) -> tuple[Sample, ...]:
    """Return a sample a second."""
    return tuple(Sample(float(at), int((start_mib + at * mib_per_s) * MIB)) for at in range(seconds))


def warming(*celsius: float | None, throttled: tuple[bool | None, ...] = ()) -> tuple[Heat, ...]:
    """Return one reading after the other."""
    return tuple(Heat(c, throttled[i] if throttled else None) for i, c in enumerate(celsius))


def test_a_release_that_does_as_well_as_the_one_before_is_fit_at_the_end_and_not_sooner() -> None:
    assert judged(GOOD) == "fit"
    assert judged(replace(GOOD, calm_s=PROBATION_S - 1)) == "wait"
    assert judged(replace(GOOD, is_alive=False)) == "wait"


def test_a_device_that_nobody_asks_must_show_its_golden_set() -> None:
    assert judged(replace(GOOD, work=Work())) == "unproven"
    assert judged(replace(GOOD, work=Work(requests=MIN_REQUESTS - 1, errors=MIN_REQUESTS - 1))) == "unproven"
    assert judged(replace(GOOD, work=Work(requests=MIN_REQUESTS))) == "fit"


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        # Without a release before it, only the absolute limit speaks.
        (Work(), Work(requests=100, errors=50), "fit"),
        (Work(), Work(requests=100, errors=51), "errors"),
        # A caller who always asked nonsense goes on to do so.
        (Work(requests=1000, errors=300), Work(requests=1000, errors=310), "fit"),
        (Work(requests=1000, errors=0), Work(requests=1000, errors=150), "errors"),
        # Three errors of twenty may be chance, thirty of two hundred are not.
        (Work(requests=1000, errors=0), Work(requests=20, errors=3), "fit"),
        (Work(requests=1000, errors=0), Work(requests=200, errors=30), "errors"),
    ],
)
def test_errors_are_compared_with_those_of_the_release_before(before: Work, now: Work, expected: str) -> None:
    assert judged(replace(GOOD, before=before, work=now)) == expected


def test_the_rise_of_a_share_is_that_of_newcombes_tenth_method() -> None:
    # Statistics in Medicine 17, 1998, table II, example a: 56 of 70 and 48 of 80 differ by 0.0524 at least, at 95 %.
    assert least_rise(Work(requests=70, errors=56), Work(requests=80, errors=48), z=1.96) == pytest.approx(0.0524, abs=5e-5)


def test_errors_are_told_at_once_and_not_only_at_the_end() -> None:
    assert judged(replace(GOOD, calm_s=1, work=Work(requests=100, errors=100))) == "errors"


@pytest.mark.parametrize(
    ("before_ms", "now_ms", "expected"),
    [(20, 39, "fit"), (20, 41, "latency"), (1, 5.9, "fit"), (1, 6.1, "latency"), (20, 5, "fit")],
)
def test_latency_may_double_or_grow_by_a_few_milliseconds(before_ms: float, now_ms: float, expected: str) -> None:
    watch = replace(GOOD, before=Work(200, 0, ((before_ms, 200),)), work=Work(200, 0, ((now_ms, 200),)))
    assert judged(watch) == expected


def test_latency_of_few_requests_is_no_evidence_and_one_bad_window_is_none_either() -> None:
    slow = ((500.0, 99),)
    assert judged(replace(GOOD, work=Work(99, 0, slow))) == "fit"
    assert judged(replace(GOOD, before=Work(99, 0, ((1.0, 99),)))) == "fit"
    assert judged(replace(GOOD, work=Work(500, 0, ((20.0, 200), (900.0, 100), (20.0, 200))))) == "fit"


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (growing(2), "memory"),
        # It took all of that at once, and no more since.
        ((*growing(10, seconds=8), *growing(0, start_mib=170)), "fit"),
        # Far too little to be told from an allocator's habits.
        (growing(0.5), "fit"),
        (growing(0.5, seconds=120), "memory"),
        (growing(-2), "fit"),
        (growing(50, seconds=5), "fit"),
        ((), "fit"),
    ],
)
def test_memory_that_grows_steadily_is_a_leak(memory: tuple[Sample, ...], expected: str) -> None:
    assert judged(replace(GOOD, memory=memory)) == expected


def test_a_few_wild_samples_do_not_hide_a_leak_nor_make_one() -> None:
    def wild(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(replace(sample, rss_bytes=900 * MIB) if i % 7 == 3 else sample for i, sample in enumerate(samples))

    assert judged(replace(GOOD, memory=wild(growing(2, seconds=60)))) == "memory"
    assert judged(replace(GOOD, memory=wild(growing(0, seconds=60)))) == "fit"


@pytest.mark.parametrize(
    ("heats", "expected"),
    [
        (warming(45, 66, 70, 72), "temperature"),
        (warming(30, 55, 58, 59), "fit"),
        (warming(60, 66, 70, 72), "fit"),
        # One reading of a broken sensor moves nothing.
        (warming(45, 50, 120, 50), "fit"),
        (warming(None, 80, 80, 80), "fit"),
        (warming(45, None, None, None), "fit"),
        (warming(45, 90), "fit"),
        (warming(50, 50, 50, 50, throttled=(False, True, True, True)), "throttled"),
        (warming(50, 50, 50, 50, throttled=(False, True, False, True)), "fit"),
        # It was throttled before as well.
        (warming(50, 50, 50, 50, throttled=(True, True, True, True)), "fit"),
        (warming(50, 50, 50, 50, throttled=(None, None, None, None)), "fit"),
    ],
)
def test_a_device_must_not_grow_hot_over_a_release(heats: tuple[Heat, ...], expected: str) -> None:
    assert judged(replace(GOOD, heats=heats)) == expected


def test_limits_are_the_owners_choice_and_the_reason_names_expected_and_found() -> None:
    watch = replace(GOOD, work=Work(200, 0, ((100.0, 200),)), before=Work(200, 0, ((20.0, 200),)))
    assert judged(watch, Limits(max_latency_ratio=6)) == "fit"
    assert verdict(watch, Limits(), PROBATION_S) == Unfit("latency", "expected a p95 of at most 40.0 ms, found 100.0 ms")
