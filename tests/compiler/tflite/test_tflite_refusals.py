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
    (Case("operator", "Erf", (IMAGE,)), "no equivalent"),
    (conv("three dimensions", (1, 2, 4, 4, 4), (3, 2, 2, 2, 2)), "3 dimensions"),
    (conv("dilated", SQUARE, (3, 5, 3, 3), op_type="ConvTranspose", dilations=[2, 2]), "dilations"),
    (Case("weights", "Conv", (IMAGE, (5, 6, 3, 3)), (), {"kernel_shape": [3, 3]}), "weights are computed"),
    (Case("places", "MaxPool", (SQUARE,), (), {"kernel_shape": [2, 2]}, outputs=2), "second output"),
    (Case("slope", "PRelu", (IMAGE, IMAGE)), "slope"),
    (Case("bound", "Clip", ((1, 4), ())), "bound"),
    (Case("edge", "Pad", (IMAGE,), (np.asarray([0, 0, 1, 1, 0, 0, 1, 1]),), {"mode": "edge"}), "mode edge"),
    (Case("cut", "Pad", (IMAGE,), (np.asarray([0, 0, -1, 0, 0, 0, 0, 0]),)), "negative pads"),
    (Case("zero", "Div", (IMAGE,), (np.float32(0),)), "divisor that is zero"),
    (Case("alpha", "Elu", (IMAGE,), (), {"alpha": 0.5}), "alpha"),
    (Case("indices", "Gather", (IMAGE,), (np.asarray([[0, 1]]),), {"axis": 1}), "indices"),
    (Case("ranks", "MatMul", ((1, 2, 3, 4), (4, 5))), "ranks"),
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
def test_an_input_that_is_no_float_tensor_of_static_shape_is_refused(kind: int, shape: tuple[int | None, ...]) -> None:
    model = Case("relu", "Relu", ((1, 4),)).model()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", kind, shape))
    with pytest.raises(UnsupportedOpError, match=r"node x .*expected float32 and a static shape"):
        to_tflite(model, Plan(activations={}, weights={}), TfliteForm("float32"))
