"""Which tensors share a range, what the plan says of them, and how the calibrator is chosen."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from compiler.graph.normalise import normalise
from compiler.quantize.calibrate import TRIED, Calibration, calibrate
from compiler.quantize.document import plan_json
from compiler.quantize.plan import Activation, Plan
from tests.compiler.graphs import Floats, graph, node, noise


def calibrated(nodes: Sequence[onnx.NodeProto], constants: dict[str, Any], calibrator: str = "minmax", **more: Any) -> Calibration:
    model = normalise(graph(nodes, (1, 4, 6, 6), constants, **more))
    samples = [noise(1, 4, 6, 6, seed=seed) for seed in range(10)]
    return calibrate(model, ({"x": sample} for sample in samples), len(samples), calibrator)


def ends(plan: Plan, name: str) -> tuple[float, float]:
    return plan.activations[name].low, plan.activations[name].high


KERNEL = {"w": noise(4, 4, 3, 3)}
CONV = node("Conv", "x w", "c", pads=[1, 1, 1, 1])


def test_every_float_activation_has_a_range_inputs_and_outputs_included() -> None:
    plan = calibrated([CONV, node("Relu", "c", "r"), node("MaxPool", "r", "y", kernel_shape=[2, 2])], KERNEL).plan
    assert set(plan.activations) == {"x", "c", "r", "y"}
    assert set(plan.weights) == {"w"}


@pytest.mark.parametrize(
    ("operator", "inputs", "constants", "attributes"),
    [
        ("MaxPool", "c", {}, {"kernel_shape": [2, 2]}),
        ("AveragePool", "c", {}, {"kernel_shape": [2, 2]}),
        ("Reshape", "c to", {"to": np.array([1, 4, 4, 9])}, {}),
        ("Transpose", "c", {}, {"perm": [0, 1, 3, 2]}),
        ("Slice", "c a b", {"a": np.array([0, 0, 0, 0]), "b": np.array([1, 4, 2, 2])}, {}),
        ("DepthToSpace", "c", {}, {"blocksize": 2}),
        ("Resize", "c  sizes", {"sizes": np.array([1.0, 1.0, 2.0, 2.0], np.float32)}, {"mode": "nearest"}),
    ],
)
def test_what_only_moves_values_has_one_range_in_and_out(operator: str, inputs: str, constants: dict[str, Any], attributes: Any) -> None:
    mover = onnx.helper.make_node(operator, inputs.split(" "), ["m"], name="m", **attributes)
    plan = calibrated([CONV, mover, node("Sigmoid", "m", "y")], {**KERNEL, **constants}).plan
    assert ends(plan, "m") == ends(plan, "c")


def test_a_mean_over_everything_has_a_range_of_its_own() -> None:
    plan = calibrated([CONV, node("GlobalAveragePool", "c", "y")], KERNEL).plan
    assert plan.activations["y"].high < plan.activations["c"].high


def test_what_goes_only_into_a_clamp_has_the_clamps_range() -> None:
    plan = calibrated([CONV, node("Relu", "c", "r"), node("Exp", "r", "y")], KERNEL).plan
    assert ends(plan, "c") == ends(plan, "r")
    assert plan.activations["c"].low == 0.0


def test_what_others_read_as_well_keeps_its_negative_values() -> None:
    plan = calibrated([CONV, node("Relu", "c", "r"), node("Add", "r c", "y")], KERNEL).plan
    assert plan.activations["c"].low < 0.0 == plan.activations["r"].low


@pytest.mark.parametrize(
    ("operator", "scale", "zero_point"),
    [("Sigmoid", 1 / 256, -128), ("Softmax", 1 / 256, -128), ("Tanh", 1 / 128, 0), ("LogSoftmax", 1 / 16, 127)],
)
def test_what_can_only_give_known_values_has_the_integers_that_tflite_asks_for(operator: str, scale: float, zero_point: int) -> None:
    plan = calibrated([CONV, node(operator, "c", "s"), node("Flatten", "s", "y")], KERNEL).plan
    for name in ("s", "y"):
        affine = plan.activations[name].asymmetric()
        assert (affine.scale, affine.zero_point) == (scale, zero_point)
    assert plan.activations["s"].calibrator == "fixed"


def test_joined_tensors_share_a_range_where_it_costs_them_little() -> None:
    nodes = [CONV, node("Mul", "c two", "d"), node("Concat", "c d", "y", axis=1)]
    plan = calibrated(nodes, {**KERNEL, "two": 2.0}).plan
    assert ends(plan, "c") == ends(plan, "d") == ends(plan, "y")


def test_a_much_smaller_tensor_keeps_its_own_range_when_it_is_joined() -> None:
    nodes = [CONV, node("Mul", "c tiny", "d"), node("Concat", "c d", "y", axis=1)]
    plan = calibrated(nodes, {**KERNEL, "tiny": 0.01}).plan
    assert ends(plan, "c") == ends(plan, "y")
    assert plan.activations["d"].high < plan.activations["c"].high / 50


def test_a_fixed_range_stays_fixed_when_it_is_joined() -> None:
    plan = calibrated([CONV, node("Sigmoid", "c", "s"), node("Concat", "c s", "y", axis=1)], KERNEL).plan
    assert plan.activations["s"].asymmetric().scale == 1 / 256


def test_a_chain_of_joins_never_widens_a_tensor_by_more_than_four() -> None:
    factors = {f"k{number}": 3.0 for number in range(4)}
    nodes, last = [CONV], "c"
    for number in range(4):
        nodes += [node("Mul", f"{last} k{number}", f"m{number}"), node("Concat", f"{last} m{number}", f"j{number}", axis=1)]
        last = f"j{number}"
    found = calibrated([*nodes, node("Relu", last, "y")], {**KERNEL, **factors}).plan
    alone = calibrated([CONV, node("Relu", "c", "y"), node("Exp", "c", "e")], KERNEL, outputs="y e").plan
    assert found.activations["c"].high <= 4.001 * alone.activations["c"].high


def test_a_range_holds_what_padding_writes_but_not_minus_infinity() -> None:
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    for value, low in ((-50.0, -50.0), (-np.inf, None)):
        nodes = [CONV, node("Pad", "c pads v", "p"), node("MaxPool", "p", "y", kernel_shape=[2, 2])]
        plan = calibrated(nodes, {**KERNEL, "pads": pads, "v": value}).plan
        assert ends(plan, "c") == ends(plan, "p") == ends(plan, "y")
        assert plan.activations["p"].low == low if low else plan.activations["p"].low > -50


@pytest.mark.parametrize(
    ("layer", "shape", "axis"),
    [
        (node("Conv", "x w", "y"), (5, 4, 3, 3), 0),
        (node("ConvTranspose", "x w", "y"), (4, 5, 3, 3), 1),
        (node("MatMul", "x w", "y"), (6, 5), 1),
    ],
    ids=["conv", "transposed", "matmul"],
)
def test_weights_are_cut_along_their_output_channels(layer: onnx.NodeProto, shape: tuple[int, ...], axis: int) -> None:
    chosen = calibrated([layer], {"w": noise(*shape)}).plan.weights["w"]
    assert (chosen.axis, len(chosen.scales)) == (axis, 5)


@pytest.mark.parametrize(("turned", "axis"), [(0, 1), (1, 0)])
def test_dense_weights_are_cut_along_their_output_channels_turned_or_not(turned: int, axis: int) -> None:
    weights = noise(5, 144) if turned else noise(144, 5)
    chosen = calibrated([node("Flatten", "x", "f"), node("Gemm", "f w", "y", transB=turned)], {"w": weights}).plan.weights["w"]
    assert (chosen.axis, len(chosen.scales)) == (axis, 5)


def test_one_constant_that_two_layers_cut_differently_leaves_the_second_float() -> None:
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w", "a"), node("Gemm", "a w", "y", transB=1)]
    plan = calibrated(nodes, {"w": noise(144, 5)}).plan
    assert plan.weights["w"].axis == 1
    assert plan.precisions == {"y": "float"}


def test_a_bias_beside_almost_no_weights_still_fits_32_bits() -> None:
    weights = noise(4, 4, 3, 3)
    weights[1] *= np.float32(1e-9)
    plan = calibrated([node("Conv", "x w b", "y")], {"w": weights, "b": np.array([0.1, 30.0, 0.1, 0.1], np.float32)}).plan
    step = plan.activations["x"].asymmetric().scale * plan.weights["w"].scales[1]
    assert 30.0 / step <= 2**30 * 1.001


def test_a_tensor_of_zeros_gets_a_range_that_is_no_zero() -> None:
    plan = calibrated([node("Mul", "x zero", "z"), node("Conv", "z w b", "y")], {"zero": 0.0, **KERNEL, "b": noise(4)}).plan
    assert ends(plan, "z") == (0.0, 1.0)


def outlier_model() -> onnx.ModelProto:
    return normalise(
        graph([CONV, node("Relu", "c", "r"), node("GlobalAveragePool", "r", "g"), node("Flatten", "g", "y")], (1, 4, 6, 6), KERNEL)
    )


def samples_with_an_outlier() -> list[Floats]:
    samples = [noise(1, 4, 6, 6, seed=seed) for seed in range(40)]
    samples[0][0, 0, 0, 0] = 400.0
    return samples


def test_auto_keeps_the_calibrator_that_scores_best_and_says_so() -> None:
    samples = samples_with_an_outlier()
    found = calibrate(outlier_model(), ({"x": sample} for sample in samples), len(samples))
    assert set(found.scores) == set(TRIED)
    assert found.calibrator == max(found.scores, key=lambda name: found.scores[name]) != "minmax"
    assert found.scores["minmax"] < found.scores[found.calibrator] - 3
    assert found.plan.activations["x"].calibrator == found.calibrator


def test_the_chosen_ranges_are_those_of_all_samples_also_of_those_held_back() -> None:
    for place in range(4):
        samples = [noise(1, 4, 6, 6, seed=seed).clip(-1, 1) for seed in range(4)]
        samples[place][0, 0, 0, 0] = 1.5
        found = calibrate(outlier_model(), ({"x": sample} for sample in samples), len(samples))
        whole = calibrate(outlier_model(), ({"x": sample} for sample in samples), len(samples), found.calibrator)
        assert found.plan == whole.plan
        assert calibrate(outlier_model(), ({"x": sample} for sample in samples), 4, "minmax").plan.activations["x"].high == 1.5


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_samples_calibrate_and_score(count: int) -> None:
    samples = [noise(1, 4, 6, 6, seed=seed) for seed in range(count)]
    found = calibrate(outlier_model(), ({"x": sample} for sample in samples), count)
    assert found.calibrator in TRIED


def test_the_same_samples_give_the_same_plan() -> None:
    samples = samples_with_an_outlier()
    one, two = (calibrate(outlier_model(), ({"x": sample} for sample in samples), len(samples)) for _ in range(2))
    assert plan_json(one.plan, one.scores) == plan_json(two.plan, two.scores)


def test_the_plan_as_a_document_says_the_integers_of_every_range() -> None:
    found = calibrated([CONV, node("Relu", "c", "y")], KERNEL, "auto")
    document = json.loads(plan_json(found.plan, found.scores))
    described = document["activations"]["x"]
    activation = Activation(low=described["low"], high=described["high"], calibrator=described["calibrator"])
    assert described["asymmetric"] == activation.asymmetric().model_dump()
    assert described["symmetric_scale"] == activation.symmetric().scale
    assert document["weights"]["w"]["axis"] == 0
    assert document["weights"]["w"]["rounding"] == "for the layer"
    assert set(document["calibrator_scores_db"]) == set(TRIED)


def test_calibration_holds_no_more_of_many_samples_than_of_few() -> None:
    def peak_bytes(count: int) -> int:
        tracemalloc.start()
        calibrate(outlier_model(), ({"x": noise(1, 4, 6, 6, seed=seed)} for seed in range(count)), count)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak_bytes(2)  # what is loaded once
    few = peak_bytes(400)
    # The other samples would be 690 kB.
    assert peak_bytes(1600) < few + 100_000
