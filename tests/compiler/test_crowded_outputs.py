"""A detection head that joins boxes in pixels with scores: what is said of it, and what each form keeps of the scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from compiler.graph.normalise import normalise
from compiler.importers.onnx import import_onnx
from compiler.lower.ort import to_s8s8, to_u8s8
from compiler.lower.tflite import TfliteForm, to_tflite
from compiler.quantize.calibrate import calibrate
from compiler.quantize.crowding import crowded
from compiler.quantize.plan import Plan
from tests.compiler.graphs import answers, graph, node, noise
from tests.compiler.tflite.lite import lite_outputs
from tests.shared_data import shared_file

SAMPLES = [noise(1, 4, 8, 8, seed=seed) for seed in range(12)]


def head(pixels: float) -> tuple[onnx.ModelProto, Plan]:
    nodes = [
        node("Conv", "x w", "c"),
        node("Sigmoid", "c", "scores"),
        node("Conv", "x v", "d"),
        node("Mul", "d pixels", "boxes"),
        node("Concat", "boxes scores", "j", axis=1),
        node("Reshape", "j shape", "y"),
    ]
    constants: dict[str, Any] = {"w": noise(3, 4, 1, 1), "v": noise(4, 4, 1, 1, seed=1), "pixels": pixels, "shape": np.array([1, 7, 64])}
    model = normalise(graph(nodes, (1, 4, 8, 8), constants))
    return model, calibrate(model, ({"x": sample} for sample in SAMPLES), len(SAMPLES), "minmax").plan


def test_scores_beside_boxes_in_pixels_are_named_with_both_ranges_and_the_bits_that_are_left() -> None:
    [remark] = crowded(*head(100.0))
    assert remark.startswith("int8 output y (-")
    assert "leaves scores (0 to 0.9961) 0.0 of 8 bits" in remark
    assert "ONNX Runtime" in remark


def test_parts_of_like_ranges_need_no_word() -> None:
    assert crowded(*head(0.2)) == ()


def test_what_is_said_is_true_tflite_loses_the_scores_and_onnx_runtime_keeps_them() -> None:
    model, plan = head(100.0)
    expected = answers(model, SAMPLES[:1]).reshape(7, 64)[4:]
    in_tflite = lite_outputs(to_tflite(model, plan, TfliteForm()), {"x": SAMPLES[0]})["y"].reshape(7, 64)[4:]
    assert np.abs(in_tflite - expected).max() > 0.3
    for lowering in (to_u8s8, to_s8s8):
        found = answers(lowering(model, plan), SAMPLES[:1]).reshape(7, 64)[4:]
        assert np.abs(found - expected).max() < 0.02


@pytest.mark.parametrize(("file", "parts"), [("detection/FastestDet.onnx", 2), ("face_onnx/version-RFB-320.onnx", 0)])
def test_published_detectors(file: str, parts: int) -> None:
    model = normalise(import_onnx(shared_file(file)))
    source = model.graph.input[0]
    shape = tuple(dim.dim_value for dim in source.type.tensor_type.shape.dim)
    samples = [{source.name: np.random.default_rng(seed).random(shape, dtype=np.float32)} for seed in range(2)]
    assert len(crowded(model, calibrate(model, samples, len(samples), "minmax").plan)) == parts
