"""How far answers have moved: nothing by chance alone, as much as was moved, and against the device's own past where it has one."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.sketches import Sketch, bin_of
from fleet.core.gates.answers import MIN_ANSWERS, NO_ANSWERS, Answers, pooled
from fleet.core.gates.drift import drift, drift_sums, stability_index
from fleet.core.gates.rates import Values

NO_SCORES = Sketch(steps=(), counts=())
EVEN = np.full(8, 1 / 8)


def answers(mix: Values, count: int, random: np.random.Generator, scores: float | None = None) -> Answers:
    classes = {str(index): int(number) for index, number in enumerate(random.multinomial(count, mix)) if number}
    bins: dict[int, int] = {}
    for score in [] if scores is None else random.beta(scores, 2.0, count):
        bins[bin_of(score)] = bins.get(bin_of(score), 0) + 1
    return Answers(classes, Sketch.of(bins))


def moved(share: float) -> Values:
    return EVEN + share * np.array([1, 0, 0, 0, 0, 0, 0, -1])


def test_the_index_is_the_one_of_the_formula_on_many_answers() -> None:
    now, before = np.array([3e6, 5e6, 2e6]), np.array([2e6, 5e6, 3e6])

    assert float(stability_index(now, before)) == pytest.approx(2 * 0.1 * np.log(1.5), rel=1e-4)
    assert float(stability_index(np.array([50.0]), np.array([70.0]))) == 0


@pytest.mark.parametrize("count", [100, 300, 3000])
def test_chance_alone_is_no_drift_however_few_answers_there_are(count: int) -> None:
    random = np.random.default_rng(4)
    found = [drift(answers(EVEN, count, random, 5.0), answers(EVEN, 2 * count, random, 5.0)) for _ in range(300)]

    assert abs(float(np.mean(found))) < 0.01 if count < 300 else 0.005


@pytest.mark.parametrize("count", [200, 5000])
def test_classes_that_moved_are_found_in_full(count: int) -> None:
    random, wanted = np.random.default_rng(5), 0.1
    found = [drift(answers(moved(wanted), count, random), answers(EVEN, 4000, random)) for _ in range(200)]

    true = wanted * np.log(0.225 / 0.125) + wanted * np.log(0.125 / 0.025)
    assert float(np.mean(found)) == pytest.approx(true, rel=0.15)


def test_scores_count_where_they_are_told_and_classes_alone_where_they_are_not() -> None:
    random = np.random.default_rng(6)
    sure, unsure = answers(EVEN, 2000, random, 8.0), answers(EVEN, 2000, random, 2.0)

    assert drift(unsure, sure) > 0.5
    assert abs(drift(Answers(unsure.classes, NO_SCORES), sure)) < 0.02


def test_a_class_that_was_never_seen_is_drift_and_a_thousand_rare_ones_are_not() -> None:
    random = np.random.default_rng(7)
    many = np.full(1000, 1 / 1000)

    assert drift(Answers({"cat": 500, "fox": 500}, NO_SCORES), Answers({"cat": 1000}, NO_SCORES)) > 1
    assert abs(drift(answers(many, 400, random), answers(many, 400, random))) < 0.02


def test_each_device_is_compared_with_its_own_past_and_a_new_one_with_what_is_usual() -> None:
    day, night = Answers({"car": 900, "fox": 100}, NO_SCORES), Answers({"car": 100, "fox": 900}, NO_SCORES)
    few = Answers({"car": MIN_ANSWERS - 1}, NO_SCORES)

    as_ever, new, turned, silent = ((night, night), (day, few), (night, day), (few, day))
    sums = drift_sums([as_ever, new, turned, silent], pooled([day, day]))

    rates = [found.total / found.weight for found in sums]
    assert len(rates) == 3
    assert rates[0] == pytest.approx(0, abs=0.01)
    assert rates[1] == pytest.approx(0, abs=0.01)
    assert rates[2] > 2
    assert drift_sums([(day, NO_ANSWERS)], NO_ANSWERS) == []
