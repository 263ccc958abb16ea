"""Every operator that is lowered computes in LiteRT what ONNX Runtime computes, in every form."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.lower.tflite import TfliteForm, TflitePrecision, UnsupportedOpError, to_tflite
from tests.compiler.tflite.cases import CURVES, FLOAT_ONLY, INTEGER, WRITTEN_OUT
from tests.compiler.tflite.lite import Case, float_outputs, float_tensors, lite_outputs, operators, snapped, steps_apart
from tests.sim.float_plan import plan_of

# Relative to the largest output: what the stored numbers can hold.
FLOAT_TOLERANCE: dict[TflitePrecision, float] = {"float32": 1e-5, "float16": 5e-3, "dynamic": 3e-2}
# TFLite has no int16 kernels for these.
NOT_IN_INT16 = {"BATCH_MATMUL", "DEPTH_TO_SPACE", "HARD_SWISH", "LOG_SOFTMAX", "PRELU", "RELU_N1_TO_1", "SPACE_TO_DEPTH", "SUM", "TILE"}


@pytest.mark.parametrize("case", INTEGER, ids=lambda case: case.name)
def test_an_operator_in_int8_is_off_by_its_rounding_alone(case: Case) -> None:
    model, feeds = case.model(), case.feeds()
    plan = plan_of(model, feeds)
    file = to_tflite(model, plan, TfliteForm("int8"))
    assert float_tensors(file) == []
    assert max(steps_apart(file, model, plan, feeds).values()) <= case.max_steps


@pytest.mark.parametrize("precision", FLOAT_TOLERANCE)
@pytest.mark.parametrize("case", [*INTEGER, *FLOAT_ONLY, *WRITTEN_OUT], ids=lambda case: case.name)
def test_an_operator_with_float_activations_is_exact_but_for_its_weights(case: Case, precision: TflitePrecision) -> None:
    model, feeds = case.model(), case.feeds(2)
    file = to_tflite(model, plan_of(model, feeds), TfliteForm(precision))
    for feed in feeds:
        found = lite_outputs(file, feed)
        for name, expected in float_outputs(model, feed).items():
            assert found[name].shape == expected.shape
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=FLOAT_TOLERANCE[precision] * np.abs(expected).max())


@pytest.mark.parametrize("case", [case for case in INTEGER if case not in CURVES], ids=lambda case: case.name)
def test_an_operator_in_int16_is_nearly_exact_or_refused(case: Case) -> None:
    model, feeds = case.model(), case.feeds(2)
    plan = plan_of(model, feeds)
    needed = set(operators(to_tflite(model, plan, TfliteForm("int8"))))
    if needed & NOT_IN_INT16:
        with pytest.raises(UnsupportedOpError, match="no int16 form"):
            to_tflite(model, plan, TfliteForm("int16"))
        return
    file = to_tflite(model, plan, TfliteForm("int16", "float"))
    for feed in feeds:
        found = lite_outputs(file, feed)
        for name, expected in float_outputs(model, feed).items():
            # What is left is the weights' 8 bits.
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=1.5e-2 * np.abs(expected).max())


@pytest.mark.parametrize("case", FLOAT_ONLY, ids=lambda case: case.name)
def test_an_operator_without_an_int8_form_is_refused_until_the_plan_says_float(case: Case) -> None:
    model, feeds = case.model(), case.feeds(2)
    with pytest.raises(UnsupportedOpError, match=r"node node .*no int8 form.*also computes in float"):
        to_tflite(model, plan_of(model, feeds), TfliteForm("int8"))
    plan = plan_of(model, feeds, precisions={"node": "float"})
    file = to_tflite(model, plan, TfliteForm("int8"))
    assert operators(file)[0] == "DEQUANTIZE"
    assert operators(file)[-1] == "QUANTIZE"
    assert max(steps_apart(file, model, plan, feeds).values()) <= case.max_steps


@pytest.mark.parametrize("case", [*FLOAT_ONLY, *WRITTEN_OUT], ids=lambda case: case.name)
def test_what_has_no_integer_form_is_float_between_integers_where_the_target_allows_it(case: Case) -> None:
    model, feeds = case.model(), case.feeds(8)
    plan = plan_of(model, feeds)
    with pytest.raises(UnsupportedOpError, match=r"tflite: node node .*compile for a target that also computes in float"):
        to_tflite(model, plan, TfliteForm("int8"))
    file = to_tflite(model, plan, TfliteForm("int8", has_islands=True))
    for feed in feeds:
        given = snapped(feed, plan)  # rounding of the input is not what is looked at here: near a step it is another function
        for name, expected in float_outputs(model, given).items():
            affine = plan.activations[name].asymmetric()
            low, high = ((step - affine.zero_point) * affine.scale for step in (-128, 127))
            np.testing.assert_allclose(lite_outputs(file, given)[name], np.clip(expected, low, high), rtol=0, atol=1.01 * affine.scale)
