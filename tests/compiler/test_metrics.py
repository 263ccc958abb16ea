"""Every metric on answers whose value can be worked out by hand, and the intervals it gets by resampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from compiler.errors import OptionError
from compiler.evaluate.bootstrap import paired
from compiler.evaluate.decisions import Choices
from compiler.evaluate.gate import judge
from compiler.evaluate.metrics import METRICS, metric_named
from compiler.evaluate.tallies import Answer, Tally
from contracts.manifest import Flips, WorstClass

Array = npt.NDArray[Any]


def tallied(metric: str, outputs: Array, truths: Array, inputs: Array | None = None) -> Tally:
    """Return what a metric remembers of outputs [n, ...] whose labels are `truths` [n, ...]."""
    tally = METRICS[metric].begin()
    for number, truth in enumerate(truths):
        answer = {"out": outputs[number : number + 1]}
        tally.add(Answer({} if inputs is None else {"in": inputs[number : number + 1]}, answer, answer), truth)
    return tally


def value(metric: str, outputs: Array, truths: Array, weights: list[float] | None = None) -> float:
    return tallied(metric, outputs, truths).value(np.array(weights) if weights else np.ones(len(truths)))


# Chosen 0 0 1 1 2, right 0 1 1 1 0: of class 2 nothing is right.
SCORES = np.eye(3)[[0, 0, 1, 1, 2]]
RIGHT = np.array([0, 1, 1, 1, 0])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("precision", (1 / 2 + 2 / 2 + 0 / 1) / 3),
        ("recall", (1 / 2 + 2 / 3 + 0) / 3),
        ("f1", (2 * 1 / (2 + 2) + 2 * 2 / (2 + 3) + 0) / 3),
        ("top1", 3 / 5),
    ],
)
def test_metrics_of_choices(metric: str, expected: float) -> None:
    assert value(metric, SCORES, RIGHT) == pytest.approx(expected)


def test_a_single_score_chooses_at_one_half() -> None:
    assert value("recall", np.array([[0.5], [0.4], [0.9]]), np.array([1, 1, 0])) == pytest.approx((1 / 2 + 0) / 2)


@pytest.mark.parametrize("scores", [np.array([[0.1], [0.4], [0.35], [0.8]]), np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]])])
def test_the_area_is_the_share_of_pairs_in_the_right_order(scores: Array) -> None:
    assert value("roc-auc", scores, np.array([0, 0, 1, 1])) == pytest.approx(3 / 4)


def test_equal_scores_are_half_in_order_and_weights_count_pairs() -> None:
    assert value("roc-auc", np.array([[0.5], [0.5]]), np.array([0, 1])) == 0.5
    assert value("roc-auc", np.array([[0.5], [0.2], [0.9]]), np.array([1, 0, 0]), [1, 3, 1]) == pytest.approx(3 / 4)


def test_many_classes_are_each_ranked_against_the_rest() -> None:
    random = np.random.default_rng(4)
    scores, truth = random.normal(size=(60, 3)), random.integers(3, size=60)
    areas = []
    for label in range(3):
        inside, outside = scores[truth == label, label], scores[truth != label, label]
        areas.append((inside[:, None] > outside[None]).mean())
    assert value("roc-auc", scores, truth) == pytest.approx(np.mean(areas))


def test_without_both_kinds_there_is_no_area() -> None:
    assert np.isnan(value("roc-auc", np.array([[0.5], [0.1]]), np.array([1, 1])))


def test_an_autoencoder_finds_what_it_cannot_reconstruct() -> None:
    inputs = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    outputs = inputs + np.array([[0.1], [0.3], [0.2]])
    tally = tallied("anomaly-auc", outputs, np.array([0, 1, 1]), inputs)
    assert tally.value(np.ones(3)) == 1.0
    assert tallied("anomaly-auc", outputs, np.array([0, 0, 1]), inputs).value(np.ones(3)) == pytest.approx(1 / 2)


def test_metrics_of_values() -> None:
    outputs, targets = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 1.0], [2.0, 8.0]])
    assert value("mae", outputs, targets) == pytest.approx((0 + 1 + 1 + 3) / 4)
    assert value("mse", outputs, targets) == pytest.approx((0 + 1 + 1 + 9) / 4)
    assert value("r2", outputs, targets) == pytest.approx(1 - 11 / ((targets - 3) ** 2).sum())
    assert value("mse", outputs, targets, [3, 1]) == pytest.approx((3 * (0 + 1) + 1 + 9) / 8)


def test_the_cosine_is_one_for_the_same_direction_and_for_nothing_at_all() -> None:
    assert value("cosine", np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[3.0, 3.0], [0.0, 0.0]])) == pytest.approx(1.0)
    assert value("cosine", np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])) == 0.0


def boxes(*found: tuple[float, float, int]) -> dict[str, Array]:
    """Return results: each box at x, with a score, of a class; all half as wide as the image's tenth."""
    edges = [[x, 0.0, x + 0.1, 0.1] for x, _, _ in found]
    return {
        "boxes": np.array([edges], np.float32),
        "scores": np.array([[score for _, score, _ in found]], np.float32),
        "classes": np.array([[label for _, _, label in found]]),
    }


def test_average_precision_is_the_area_under_the_best_precision_still_to_come() -> None:
    tally = METRICS["map50"].begin()
    # By falling score: hit, miss (found twice), hit, of three things: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.
    things = np.array([[0.0, 0, 0.1, 0.1, 0], [0.3, 0, 0.4, 0.1, 0], [0.6, 0, 0.7, 0.1, 0], [0, 0, 0, 0, -1]])
    tally.add(Answer({}, {}, boxes((0.0, 0.9, 0), (0.01, 0.8, 0), (0.3, 0.7, 0), (0.0, 0.0, -1))), things)
    assert tally.value(np.ones(1)) == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)


def test_a_box_of_another_class_or_place_finds_nothing() -> None:
    tally = METRICS["map50"].begin()
    tally.add(Answer({}, {}, boxes((0.0, 0.9, 1), (0.06, 0.8, 0))), np.array([[0.0, 0, 0.1, 0.1, 0]]))
    tally.add(Answer({}, {}, boxes((0.0, 0.5, 0))), np.array([[0.0, 0, 0.1, 0.1, 0]]))
    assert tally.value(np.array([1.0, 0.0])) == 0.0
    assert tally.value(np.array([0.0, 1.0])) == 1.0
    assert tally.value(np.ones(2)) == pytest.approx(1 / 2 * 1 / 2)


def test_an_image_without_things_only_counts_against() -> None:
    tally = METRICS["map50"].begin()
    tally.add(Answer({}, {}, boxes((0.0, 0.9, 0))), np.zeros((0, 5)))
    assert np.isnan(tally.value(np.ones(1)))


def noisy_errors(samples: int, shift: float) -> tuple[Tally, Tally]:
    random = np.random.default_rng(samples)
    targets = random.normal(size=(samples, 4))
    before = targets + random.normal(0, 0.1, size=targets.shape)
    return tallied("mae", before, targets), tallied("mae", before + random.normal(shift, 0.05, size=targets.shape), targets)


def test_a_resampled_interval_holds_the_drop_and_is_the_same_every_time() -> None:
    before, after = noisy_errors(300, 0.05)
    estimate = paired(METRICS["mae"], before, after, 300)
    assert 0 < estimate.drop_interval.low < estimate.drop < estimate.drop_interval.high
    assert estimate == paired(METRICS["mae"], *noisy_errors(300, 0.05), 300)


def test_a_resampled_interval_covers_the_true_drop_about_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        differences = random.normal(0.3, 1.0, size=80)
        before = tallied("mse", np.zeros((80, 1)), np.zeros((80, 1)))
        # Squared errors are non-negative, so the drop is put on top of an error that both models share.
        after = tallied("mse", np.sqrt(differences + 10).reshape(-1, 1), np.zeros((80, 1)))
        interval = paired(METRICS["mse"], before, after, 80).drop_interval
        covered += interval.low <= 10.3 <= interval.high
    assert 52 <= covered <= 60


def test_an_error_that_grows_is_a_drop() -> None:
    before, after = noisy_errors(300, 0.05)
    grown = judge(METRICS["mae"], before, after, 300, 1.0)
    assert grown.verdict == "proven"
    assert grown.estimate.drop > 0
    shrunk = judge(METRICS["mae"], after, before, 300, 0.0)
    assert shrunk.estimate.drop == pytest.approx(-grown.estimate.drop)
    assert judge(METRICS["mae"], before, after, 300, 0.001).verdict == "failed"


def test_as_many_samples_as_named_make_a_resampled_verdict_a_proof() -> None:
    before, after = noisy_errors(60, 0.05)
    estimate = paired(METRICS["mae"], before, after, 60)
    budget = estimate.drop + 0.6 * (estimate.drop_interval.high - estimate.drop)
    judgement = judge(METRICS["mae"], before, after, 60, budget)
    assert judgement.verdict == "unproven"
    assert judgement.samples_for_proof == pytest.approx(60 / 0.6**2, abs=1)


def test_answers_that_all_agree_are_no_proof_that_others_would() -> None:
    same = tallied("f1", SCORES[[0, 2] * 20], np.array([0, 1] * 20))
    judgement = judge(METRICS["f1"], same, tallied("f1", SCORES[[0, 2] * 20], np.array([0, 1] * 20)), 40, 0.01)
    assert judgement.estimate.drop == 0
    assert judgement.verdict == "unproven"
    assert judgement.estimate.drop_interval.high == pytest.approx(1 - 0.025 ** (1 / 40))


def test_a_handful_of_samples_proves_nothing_by_resampling() -> None:
    targets = np.arange(5.0).reshape(-1, 1)
    judgement = judge(METRICS["mse"], tallied("mse", targets, targets), tallied("mse", targets, targets), 5, 0.5)
    assert (judgement.verdict, judgement.samples_for_proof) == ("unproven", 30)


def test_a_metric_that_is_no_number_fails() -> None:
    scores, one_kind = np.array([[0.5], [0.1]] * 20), np.ones(40, np.int64)
    tally = tallied("roc-auc", scores, one_kind)
    assert judge(METRICS["roc-auc"], tally, tallied("roc-auc", scores, one_kind), 40, 0.5).verdict == "failed"


def test_changed_answers_are_counted_by_their_way() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2])
    choices = Choices(np.array([0, 0, 1, 1, 1, 0]), np.array([0, 1, 0, 1, 1, 1]), truth, 3)
    assert choices.flips() == Flips(changed=3, lost=1, gained=1)
    assert choices.worst_class() == WorstClass(index=0, float_value=2 / 3, compiled_value=2 / 3, samples=3)
    assert choices.table() == ((2, 1, 0), (0, 2, 0), (0, 1, 0))


def test_the_worst_class_is_the_one_that_lost_the_largest_share_of_its_own() -> None:
    truth = np.array([0] * 10 + [1] * 2)
    after = np.array([1, 1] + [0] * 8 + [0, 1])
    assert Choices(truth, after, truth, 2).worst_class() == WorstClass(index=1, float_value=1.0, compiled_value=0.5, samples=2)


def test_without_labels_only_changes_are_known() -> None:
    choices = Choices(np.array([0, 1]), np.array([1, 1]), None, 2)
    assert (choices.flips(), choices.worst_class(), choices.table()) == (Flips(changed=1), None, None)


def test_a_metric_of_the_users_own_is_called_sample_by_sample() -> None:
    metric = metric_named("math:dist")  # any function of two arrays will do
    tally = metric.begin()
    answer = {"out": np.array([3.0, 4.0])}
    tally.add(Answer({}, answer, answer), np.array([0.0, 0.0]))
    assert tally.value(np.ones(1)) == 5.0


@pytest.mark.parametrize(
    ("name", "found"), [("no_such_module:score", "No module named"), ("math:score", "has no attribute"), ("math:pi", "float")]
)
def test_a_metric_that_cannot_be_had_is_named(name: str, found: str) -> None:
    with pytest.raises(OptionError, match=found):
        metric_named(name)


def test_a_metric_that_gives_no_number_is_named() -> None:
    tally = metric_named("builtins:divmod").begin()
    answer = {"out": np.array([3.0])}
    with pytest.raises(OptionError, match="expected a number for each sample"):
        tally.add(Answer({}, answer, answer), np.array([2.0]))
