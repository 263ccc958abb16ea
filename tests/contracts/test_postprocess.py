"""Outputs become classes or boxes, by one formula."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.detections import overlaps, suppress
from contracts.errors import InvalidDocumentError
from contracts.postprocess import Boxes, Classes, parse_postprocess
from contracts.tensors import NUMPY_DTYPES, TensorSpec
from contracts.view import View


def test_softmax_makes_shares_of_scores_and_the_largest_is_the_class() -> None:
    results = Classes(softmax=True).apply({"logits": np.array([[0.0, np.log(3.0)]], np.float32)})
    np.testing.assert_allclose(results["scores"], [[0.25, 0.75]], rtol=1e-6)
    assert results["class"].tolist() == [1]


def test_scores_past_what_an_exponential_holds_are_no_trouble() -> None:
    assert Classes(softmax=True).apply({"a": np.array([[1e4, 0.0]], np.float32)})["scores"].tolist() == [[1.0, 0.0]]


def test_a_class_below_the_threshold_is_none() -> None:
    scores = {"scores": np.array([[0.3, 0.59]], np.float32)}
    assert Classes(threshold=0.6).apply(scores)["class"].tolist() == [-1]
    assert Classes(threshold=0.5).apply(scores)["class"].tolist() == [1]


def test_of_boxes_that_overlap_the_best_of_each_class_stays() -> None:
    boxes = np.array([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.45], [0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]], np.float32)
    assert suppress(boxes, np.array([1, 1, 2, 1]), 0.45).tolist() == [0, 2, 3]
    assert overlaps(boxes[:1], boxes).tolist() == [[1.0, pytest.approx(0.9), 1.0, 0.0]]


def test_corners_and_scores_may_come_in_either_order_and_class_0_may_stand_for_nothing() -> None:
    boxes = np.array([[[0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]]], np.float32)
    scores = np.array([[[0.1, 0.9], [0.95, 0.05]]], np.float32)
    spec = Boxes(decoding="corners", threshold=0.5, limit=3, background=True)
    for outputs in ({"s": scores, "b": boxes}, {"b": boxes, "s": scores}):
        results = spec.apply(outputs)
        assert results["classes"].tolist() == [[1, -1, -1]]
        np.testing.assert_allclose(results["boxes"][0, 0], [0.1, 0.1, 0.4, 0.4])
        assert results["scores"][0].tolist() == [pytest.approx(0.9), 0.0, 0.0]


def test_boxes_in_pixels_become_shares_of_the_image() -> None:
    found = [320.0, 240.0, 64.0, 48.0]
    v8 = np.zeros((1, 6, 5), np.float32)
    v8[0, :, 2] = [*found, 0.2, 0.8]
    v5 = np.zeros((1, 5, 7), np.float32)
    v5[0, 2] = [*found, 0.5, 0.2, 0.8]
    for decoding, output, score in (("yolov8", v8, 0.8), ("yolov5", v5, 0.4)):
        spec = parse_postprocess(f"boxes={decoding},size=480x640,limit=2,threshold=0.3")
        assert isinstance(spec, Boxes)
        results = spec.apply({"out": output})
        assert results["classes"].tolist() == [[1, -1]]
        assert results["scores"][0, 0] == pytest.approx(score)
        np.testing.assert_allclose(results["boxes"][0, 0], [0.45, 0.45, 0.55, 0.55], atol=1e-6)


def test_a_grid_cell_says_where_its_box_lies() -> None:
    cells = np.zeros((1, 7, 4, 8), np.float32)
    cells[0, :, 1, 2] = [0.9, 0.0, 0.0, 0.0, 0.0, 0.2, 0.7]
    results = Boxes(decoding="grid", threshold=0.5, limit=1).apply({"out": cells})
    np.testing.assert_allclose(results["boxes"][0, 0], [0.0, 0.0, 0.5, 0.5], atol=1e-6)
    assert results["scores"][0, 0] == pytest.approx(0.9**0.6 * 0.7**0.4, rel=1e-5)
    assert results["classes"].tolist() == [[1]]


def test_boxes_are_placed_on_the_photo_and_cut_at_its_edges() -> None:
    boxes = np.array([[[0.25, 0.25, 0.75, 1.0]]], np.float32)
    outputs = {"boxes": boxes, "scores": np.array([[[0.2, 0.9]]], np.float32)}
    spec = Boxes(decoding="corners", limit=1)
    # Above and below the photo a quarter of the input is border; of the width the middle half was cut out.
    results = spec.apply(outputs, View(0.25, -0.5, 0.75, 1.5))
    np.testing.assert_allclose(results["boxes"][0, 0], [0.375, 0.0, 0.625, 1.0])


@pytest.mark.parametrize("spec", [Classes(), Classes(softmax=True, threshold=0.9), Boxes(decoding="corners", limit=7)])
def test_what_results_look_like_is_known_beforehand(spec: Classes | Boxes) -> None:
    shapes = {"scores": (1, 9, 3), "boxes": (1, 9, 4)} if isinstance(spec, Boxes) else {"logits": (1, 5)}
    outputs = tuple(TensorSpec(name=name, datatype="FP32", shape=shape) for name, shape in shapes.items())
    made = spec.apply({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    assert [(one.name, NUMPY_DTYPES[one.datatype], one.shape) for one in spec.results(outputs)] == [
        (name, values.dtype.name, values.shape) for name, values in made.items()
    ]


def test_no_box_at_all_is_a_result() -> None:
    results = Boxes(decoding="grid", limit=2, threshold=0.0).apply({"out": np.zeros((1, 7, 4, 8), np.float32)})
    assert results["classes"].tolist() == [[-1, -1]]


def test_the_one_line_form_says_all_of_it() -> None:
    assert parse_postprocess("") is None
    assert parse_postprocess("softmax,threshold=0.6") == Classes(softmax=True, threshold=0.6)
    assert parse_postprocess("classes") == Classes()
    wanted = Boxes(decoding="corners", threshold=0.7, overlap=0.3, limit=20, background=True)
    assert parse_postprocess("boxes=corners,threshold=0.7,overlap=0.3,limit=20,background=yes") == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("threshold=0.5", "threshold=0.5: expected classes or softmax"),
        ("boxes=yolov8", "size: expected size=HxW"),
        ("boxes=ssd", "decoding: expected"),
        ("softmax,threshold=2", "threshold: expected"),
        ("softmax,limit=5", "limit: expected"),
        ("softmax=no", "softmax=no: expected softmax"),
        ("nms", "nms: expected classes or softmax"),
        ("boxes=grid,limit=2.5", "limit: expected"),
    ],
)
def test_a_wrong_part_is_named(text: str, complaint: str) -> None:
    with pytest.raises(InvalidDocumentError, match="--postprocess") as refused:
        parse_postprocess(text)
    assert complaint in str(refused.value)
