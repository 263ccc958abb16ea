"""What failed devices have in common: exact on small tables, silent on luck, and found among many attributes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.blame import Case, blame


def case(number: int, has_failed: bool, **facts: str) -> Case:
    return Case(f"pi-{number}", has_failed, facts, {})


def test_a_kernel_that_only_failed_devices_run_is_named_with_its_counts() -> None:
    failed = [case(number, True, kernel="6.1.21", site="lyon") for number in range(11)] + [case(11, True, kernel="6.6.1", site="lyon")]
    passed = [case(20 + number, False, kernel="6.1.21" if number < 3 else "6.6.1", site="lyon") for number in range(88)]

    (first, *_) = blame([*failed, *passed])

    assert first.sentence == "11 of 12 failed devices have kernel 6.1.21; 3 of 88 that passed do"
    assert first.chance < 1e-8


def test_the_chance_is_fishers_times_the_number_of_tests() -> None:
    # 3 of 3 failed hold it and 0 of 7 passed: one way in C(10, 3) = 120; two values of one attribute are two tests.
    cases = [case(number, number < 3, kernel="old" if number < 3 else "new") for number in range(10)]

    (found,) = blame(cases)

    assert found.traits == ("kernel old",)
    assert found.chance == pytest.approx(2 / 120)


def test_heat_is_found_as_a_limit_on_a_reading() -> None:
    cases = [Case(f"pi-{number}", number >= 80, {}, {"temperature_c": 40.0 + number / 2}) for number in range(100)]

    (first, *_) = blame(cases)

    assert first.traits[0].startswith("temperature_c above")
    assert first.failed_with >= 10


def test_a_pair_is_told_when_only_both_together_fail() -> None:
    cases = [
        case(number, number % 2 == 0 and number % 3 == 0, hardware="rpi5" if number % 2 else "rpi4", driver="2.1" if number % 3 else "2.0")
        for number in range(120)
    ]

    (first, *_) = blame(cases)

    assert set(first.traits) == {"hardware rpi4", "driver 2.0"}
    assert (first.failed_with, first.passed_with) == (first.failed, 0)


@pytest.mark.parametrize("has_failed", [True, False])
def test_nobody_to_compare_with_is_no_finding(has_failed: bool) -> None:
    assert blame([case(number, has_failed, site="lyon") for number in range(5)]) == ()


def test_luck_is_blamed_in_at_most_one_report_of_twenty() -> None:
    random = np.random.default_rng(3)
    reports = 200
    blamed = 0
    for _ in range(reports):
        cases = [
            Case(
                f"pi-{number}",
                bool(random.random() < 0.2),
                {name: str(random.integers(4)) for name in ("kernel", "site", "hardware", "driver")},
                {"temperature_c": float(random.normal(60, 8))},
            )
            for number in range(60)
        ]
        blamed += bool(blame(cases))
    assert blamed / reports <= 0.05


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(), st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")), st.dictionaries(st.just("t"), st.floats(0, 99))
        ),
        max_size=30,
    )
)
def test_whatever_devices_are_like_counts_are_theirs_and_chances_are_probabilities(
    made: list[tuple[bool, dict[str, str], dict[str, float]]],
) -> None:
    cases = [Case(str(number), *one) for number, one in enumerate(made)]
    failed = sum(one.has_failed for one in cases)
    for found in blame(cases):
        assert 0 <= found.chance <= 0.05
        assert (found.failed, found.passed) == (failed, len(cases) - failed)
        assert found.failed_with * max(1, found.passed) >= found.passed_with * found.failed
