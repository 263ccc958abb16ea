"""What TFLite cannot say is refused with the node, the reason and what to do."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from compiler.lower.tflite import TfliteForm, UnsupportedOpError, to_tflite
from compiler.quantize.plan import Plan
from tests.compiler.tflite.cases import IMAGE, SQUARE, conv, normal, resize
from tests.compiler.tflite.lite import Case

REFUSED = [
    (Case("operator", "Det", ((1, 4, 4),)), "no equivalent"),
    (conv("three dimensions", (1, 2, 4, 4, 4), (3, 2, 2, 2, 2)), "3 dimensions"),
    (conv("dilated", SQUARE, (3, 5, 3, 3), op_type="ConvTranspose", dilations=[2, 2]), "dilations"),
    (Case("weights", "Conv", (IMAGE, (5, 6, 3, 3)), (), {"kernel_shape": [3, 3]}), "weights are computed"),
    (Case("places", "MaxPool", (SQUARE,), (), {"kernel_shape": [2, 2]}, outputs=2), "second output"),
    (Case("slope", "PRelu", (IMAGE, IMAGE)), "slope"),
    (Case("bound", "Clip", ((1, 4), ())), "bound"),
    (Case("edge", "Pad", (IMAGE,), (np.asarray([0, 0, 1, 1, 0, 0, 1, 1]),), {"mode": "edge"}), "mode edge"),
    (Case("cut", "Pad", (IMAGE,), (np.asarray([0, 0, -1, 0, 0, 0, 0, 0]),)), "negative pads"),
    (Case("zero", "Div", (IMAGE,), (np.float32(0),)), "divisor that is zero"),
    (Case("vector", "MatMul", ((1, 2, 3, 4), (4,))), "operands of shapes"),
    (Case("condition", "Where", (IMAGE, IMAGE, IMAGE)), "truth values"),
    (Case("deviation", "LayerNormalization", (IMAGE,), (normal(8),), outputs=2, opset=17), "further outputs"),
    (Case("even", "LRN", (IMAGE,), (), {"size": 2}), "even number"),
    (resize("cubic", (16, 16), "cubic", "half_pixel"), "mode cubic"),
    (resize("crop", (16, 16), "nearest", "tf_crop_and_resize"), "tf_crop_and_resize"),
    (Case("scales", "Resize", (SQUARE,), (None, np.asarray([1, 1, 1.7, 1.7])), {"mode": "linear"}), "linear sampling"),
    (Case("addend", "Gemm", ((2, 3),), (normal(3, 4), normal(2, 1))), "addend"),
]


@pytest.mark.parametrize(("case", "reason"), REFUSED, ids=lambda value: value.name if isinstance(value, Case) else "")
def test_a_node_is_refused_by_name(case: Case, reason: str) -> None:
    with pytest.raises(UnsupportedOpError, match=reason) as refusal:
        to_tflite(case.model(), Plan(activations={}, weights={}), TfliteForm("float32"))
    error = refusal.value
    assert (error.node, error.op_type) == ("node", case.op_type)
    assert str(error).startswith(f"tflite: node node ({case.op_type}): ")
    assert error.advice
    assert "\n" not in str(error)


@pytest.mark.parametrize(("kind", "shape"), [(TensorProto.INT64, (1, 4)), (TensorProto.FLOAT, (None, 4))])
def test_arithmetic_on_whole_numbers_or_on_an_open_shape_is_refused(kind: int, shape: tuple[int | None, ...]) -> None:
    model = Case("relu", "Relu", ((1, 4),)).model()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", kind, shape))
    with pytest.raises(UnsupportedOpError, match=r"expected float32"):
        to_tflite(model, Plan(activations={}, weights={}), TfliteForm("float32"))
