"""The gate's verdicts, and the intervals they stand on."""

from __future__ import annotations

from math import isclose

import numpy as np
import pytest

from compiler.errors import DeclaredError
from compiler.evaluate.gate import Judgement, check_declared, judge, paired_counts, refusals, samples_for_proof, verdict_of
from compiler.evaluate.intervals import PairedCounts, drop_interval, share_interval
from compiler.evaluate.metrics import METRICS, top_k
from compiler.evaluate.tallies import Answer, Tally


def test_wilsons_interval_is_the_root_of_its_equation() -> None:
    interval = share_interval(90, 100)
    for end in (interval.low, interval.high):
        # By definition: at each end the observed share lies 1.96 standard errors away.
        assert isclose(abs(0.9 - end), 1.959963984540054 * (end * (1 - end) / 100) ** 0.5, rel_tol=1e-9)


@pytest.mark.parametrize(("hits", "low", "high"), [(0, 0.0, 0.0370), (100, 0.9630, 1.0)])
def test_wilsons_interval_stays_between_none_and_all(hits: int, low: float, high: float) -> None:
    interval = share_interval(hits, 100)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_the_paired_interval_is_newcombes() -> None:
    """Table of the paper: 36, 12, 2, 0 of 50 by method 10."""
    interval = drop_interval(PairedCounts(36, 12, 2, 0))
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.0569, 0.3404)


def test_the_paired_interval_turns_with_the_order_of_the_models() -> None:
    one, other = drop_interval(PairedCounts(80, 7, 3, 10)), drop_interval(PairedCounts(80, 3, 7, 10))
    assert isclose(one.low, -other.high, abs_tol=1e-12)
    assert isclose(one.high, -other.low, abs_tol=1e-12)


@pytest.mark.parametrize("counts", [PairedCounts(500, 0, 0, 0), PairedCounts(0, 0, 0, 50), PairedCounts(495, 0, 0, 5)])
def test_no_changed_answer_still_proves_nothing_exactly(counts: PairedCounts) -> None:
    interval = drop_interval(counts)
    assert counts.drop == 0
    assert interval.low < 0 < interval.high


def test_the_paired_interval_covers_the_true_drop_about_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(11)
    rates = (0.85, 0.05, 0.03, 0.07)
    drawn = [PairedCounts(*row) for row in random.multinomial(400, rates, size=2000).tolist()]
    covered = sum(interval.low <= 0.02 <= interval.high for interval in map(drop_interval, drawn))
    assert 0.93 <= covered / len(drawn) <= 0.98


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        (PairedCounts(9900, 5, 5, 90), "proven"),
        (PairedCounts(99, 0, 0, 1), "unproven"),
        (PairedCounts(90, 1, 0, 9), "unproven"),  # exactly the budget
        (PairedCounts(89, 2, 0, 9), "failed"),
    ],
)
def test_the_verdict_follows_from_drop_and_interval(counts: PairedCounts, verdict: str) -> None:
    assert verdict_of(counts, 0.01) == verdict


def test_as_many_samples_as_named_prove_the_budget_and_clearly_fewer_do_not() -> None:
    counts = PairedCounts(99, 0, 0, 1)
    needed = samples_for_proof(counts, 0.01)
    assert needed is not None
    assert verdict_of(counts.scaled(needed / 100), 0.01) == "proven"
    assert verdict_of(counts.scaled(0.95 * needed / 100), 0.01) == "unproven"


def test_no_number_of_samples_proves_a_drop_that_equals_the_budget() -> None:
    assert samples_for_proof(PairedCounts(90, 1, 0, 9), 0.01) is None


def answered(hits: list[bool]) -> Tally:
    """Return what top1 remembers of a model that is right where `hits` says so."""
    tally = METRICS["top1"].begin()
    for is_right in hits:
        scores = {"scores": np.array([[0.0, 1.0]] if is_right else [[1.0, 0.0]])}
        tally.add(Answer({}, scores, scores), np.array(1))
    return tally


def judged(before: list[bool], after: list[bool], max_drop: float) -> Judgement:
    return judge(METRICS["top1"], answered(before), answered(after), len(before), max_drop)


def test_the_judgement_counts_who_is_right() -> None:
    before, after = [True, True, True, False, False], [True, True, False, True, False]
    assert paired_counts(np.array(before), np.array(after)) == PairedCounts(2, 1, 1, 1)
    estimate = judged(before, after, 0.1).estimate
    assert (estimate.float_value, estimate.compiled_value, estimate.drop) == (0.6, 0.6, 0.0)


def test_a_better_compiled_model_has_a_negative_drop() -> None:
    judgement = judged([False, True] * 50, [True] * 100, 0.0)
    assert judgement.estimate.drop == -0.5
    assert judgement.verdict == "proven"


def test_every_target_that_fails_is_named() -> None:
    good, bad = [True] * 1000, [number >= 50 for number in range(1000)]
    judgements = {"cpu": judged(good, bad, 0.01), "rpi5": judged(good, good, 0.01)}
    assert refusals(judgements, 0.01, require_proof=True) == ["cpu: top1 1.0000 float, 0.9500 compiled, drop 0.0500, budget 0.01"]


def test_a_float_model_that_misses_its_declared_accuracy_is_refused_by_name() -> None:
    tally = answered([number % 10 > 0 for number in range(100)])
    check_declared(METRICS["top1"], tally, 100, 0.94, "eval.npz")  # 0.90 of 100 may well be 0.94 of all
    with pytest.raises(
        DeclaredError, match=r"eval.npz: the float model: expected top1 0.99 as declared, found 0.9000 .*check --preprocess"
    ):
        check_declared(METRICS["top1"], tally, 100, 0.99, "eval.npz")


def test_the_label_must_be_among_the_k_largest() -> None:
    scores = np.array([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4], [0.1, 0.5, 0.4]], dtype=np.float32)
    labels = np.array([1, 2, 0])
    assert top_k(scores, labels, 1).tolist() == [True, False, False]
    assert top_k(scores, labels, 2).tolist() == [True, True, False]


def test_equal_scores_rank_as_argmax_ranks_them() -> None:
    scores = np.full((2, 3), 0.5, dtype=np.float32)
    assert top_k(scores, np.array([0, 1]), 1).tolist() == [True, False]


def test_a_score_that_is_no_number_is_never_right() -> None:
    scores = np.array([[np.nan, np.nan], [np.nan, 1.0]], dtype=np.float32)
    assert top_k(scores, np.array([0, 1]), 2).tolist() == [False, False]
