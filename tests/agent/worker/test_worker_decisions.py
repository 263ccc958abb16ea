"""A device must come to the compiler's decisions, but for those that its tolerance leaves open."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from agent.runtimes.port import Arrays
from agent.worker.decisions import Decisions
from agent.worker.golden import GoldenSet, run_golden
from contracts.manifest import Tolerance
from contracts.postprocess import Boxes, Classes
from contracts.tensors import TensorSpec
from contracts.view import WHOLE

Floats = npt.NDArray[np.float32]
SCORES = TensorSpec(name="scores", datatype="FP32", shape=(1, 3))
PLACES = 4
# Corners and scores of two classes for each of four places.
CORNERS = TensorSpec(name="boxes", datatype="FP32", shape=(1, PLACES, 4))
LIKELY = TensorSpec(name="likely", datatype="FP32", shape=(1, PLACES, 2))
LEFT, RIGHT, NOWHERE = (0.1, 0.1, 0.4, 0.4), (0.6, 0.6, 0.9, 0.9), (0.0, 0.0, 0.01, 0.01)


def classify(expected: list[float], found: list[float], *, threshold: float | None = None, doubt: float = 0.01) -> str:
    rule = Decisions(Classes(threshold=threshold), WHOLE, (SCORES,), doubt)
    return rule.moved({"scores": np.array(expected, np.float32)}, {"scores": np.array(found, np.float32)})


def scene(*boxes: tuple[tuple[float, float, float, float], int, float]) -> dict[str, Floats]:
    corners, likely = np.tile(np.array(NOWHERE, np.float32), (PLACES, 1)), np.zeros((PLACES, 2), np.float32)
    for at, (box, label, score) in enumerate(boxes):
        corners[at], likely[at, label] = box, score
    return {"boxes": corners, "likely": likely}


def detect(expected: dict[str, Floats], found: dict[str, Floats], *, limit: int = PLACES) -> str:
    rule = Boxes(decoding="corners", threshold=0.5, limit=limit)
    return Decisions(rule, WHOLE, (CORNERS, LIKELY), doubt=0.02).moved(expected, found)


def test_another_class_is_named_unless_the_tolerance_leaves_it_open() -> None:
    assert classify([0.1, 0.8, 0.1], [0.7, 0.2, 0.1]) == "expected class 1, found class 0"
    assert classify([0.1, 0.8, 0.1], [0.1, 0.7, 0.2]) == ""
    assert classify([0.49, 0.5, 0.01], [0.5, 0.49, 0.01]) == ""


def test_an_answer_that_falls_below_the_threshold_is_named_unless_it_stood_at_it() -> None:
    assert classify([0.1, 0.8, 0.1], [0.1, 0.4, 0.1], threshold=0.5) == "expected class 1, found class -1"
    assert classify([0.1, 0.505, 0.1], [0.1, 0.495, 0.1], threshold=0.5) == ""


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (scene((LEFT, 0, 0.88), (RIGHT, 1, 0.7)), ""),
        # In another order, and a little aside.
        (scene((RIGHT, 1, 0.91), ((0.11, 0.1, 0.41, 0.4), 0, 0.9)), ""),
        (scene((RIGHT, 1, 0.7)), "expected class 0 with score 0.900 at 0.100, 0.100, 0.400, 0.400, found none like it"),
        (scene((LEFT, 1, 0.9), (RIGHT, 1, 0.7)), "expected class 0 with score 0.900 at 0.100, 0.100, 0.400, 0.400, found none like it"),
        (
            scene((LEFT, 0, 0.9), (RIGHT, 1, 0.7), ((0.1, 0.6, 0.3, 0.9), 0, 0.6)),
            "expected nothing like it, found class 0 with score 0.600 at 0.100, 0.600, 0.300, 0.900",
        ),
        # A box that barely passes decides nothing.
        (scene((LEFT, 0, 0.9), (RIGHT, 1, 0.7), ((0.1, 0.6, 0.3, 0.9), 0, 0.51)), ""),
    ],
)
def test_detections_are_the_same_where_each_clear_one_has_its_like(found: dict[str, Floats], reason: str) -> None:
    assert detect(scene((LEFT, 0, 0.9), (RIGHT, 1, 0.7)), found) == reason


def test_a_full_list_ends_at_a_rank_and_who_stands_there_decides_nothing() -> None:
    assert detect(scene((LEFT, 0, 0.9), (RIGHT, 1, 0.89)), scene((LEFT, 0, 0.89), (RIGHT, 1, 0.9)), limit=1) == ""


def test_of_an_integer_engine_no_value_may_be_two_steps_away() -> None:
    step = 0.1
    expected = np.array([[0.1, 0.7, 0.2]], np.float32)
    golden = GoldenSet({"x": np.zeros((1, 1), np.uint8)}, {"scores": expected}, samples=1)
    tolerance = Tolerance(absolute=5.0, same_argmax=True, steps={"scores": step})

    def judged(shift: float) -> str:
        found: Arrays = {"scores": expected + np.array([0, 0, shift], np.float32)}
        return run_golden(lambda _: found, golden, tolerance).reason

    assert judged(step) == judged(-step) == ""
    assert judged(2 * step) == "golden sample 0, output scores: value 2: expected 0.2, found 0.4, allowed one step of 0.1"


def test_a_decision_that_moved_fails_the_golden_set() -> None:
    golden = GoldenSet({"x": np.zeros((1, 1), np.uint8)}, {"scores": np.array([[0.1, 0.5, 0.4]], np.float32)}, samples=1)
    decisions = Decisions(Classes(), WHOLE, (SCORES,), doubt=0.01)
    found: Arrays = {"scores": np.array([[0.1, 0.4, 0.5]], np.float32)}

    verdict = run_golden(lambda _: found, golden, Tolerance(absolute=0.2, same_argmax=False), decisions)

    assert verdict.reason == "golden sample 0, decision: expected class 1, found class 2"
