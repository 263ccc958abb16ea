"""Weights that are rounded for their layer's sake: what that gains, what it never does, and what it is reckoned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from compiler.graph.index import GraphIndex
from compiler.graph.normalise import normalise
from compiler.quantize.calibrate import calibrate, signal_to_noise_db
from compiler.quantize.layers import layers_of
from compiler.quantize.observe import Observer
from compiler.quantize.plan import Plan
from compiler.quantize.rounding import ROWS_AT_ONCE, Moments, settled
from tests.compiler.graphs import Floats, answers, graph, node, noise

SHAPE = (1, 6, 9, 9)
# Weights that are rounded for what a layer reads, by layer: its node, its weights, and how its inputs become rows of numbers.
LAYERS: dict[str, tuple[onnx.NodeProto, Floats]] = {
    "conv": (node("Conv", "x w", "y", pads=[1, 1, 1, 1]), noise(5, 6, 3, 3)),
    "strided": (node("Conv", "x w", "y", strides=[2, 2], pads=[0, 1, 1, 0]), noise(5, 6, 3, 3)),
    "dilated": (node("Conv", "x w", "y", dilations=[2, 2]), noise(5, 6, 3, 3)),
    "grouped": (node("Conv", "x w", "y", group=3), noise(9, 2, 3, 3)),
    "depthwise": (node("Conv", "x w", "y", group=6), noise(12, 1, 3, 3)),
    "matmul": (node("MatMul", "x w", "y"), noise(9, 4)),
}


def correlated(seed: int) -> Floats:
    """Return an image whose values resemble their neighbours', as what layers read mostly does."""
    values = noise(*SHAPE, seed=seed).cumsum(axis=2).cumsum(axis=3) / 9
    return (np.abs(values) + noise(1, 1, 1, 1, seed=seed) + 1).astype(np.float32)


def only_layer(name: str) -> onnx.ModelProto:
    layer, weights = LAYERS[name]
    return normalise(graph([layer], SHAPE, {"w": weights}))


def planned(model: onnx.ModelProto) -> Plan:
    samples = [{"x": correlated(seed)} for seed in range(30)]
    return calibrate(model, samples, len(samples), "minmax").plan


def with_integers(model: onnx.ModelProto, weights: Any) -> onnx.ModelProto:
    """Return the float model with weights as integers stand for them, and nothing else rounded."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    values = GraphIndex(model).constants["w"]
    along = [1] * values.ndim
    along[weights.axis] = -1
    real = weights.integers(values) * np.asarray(weights.scales, np.float32).reshape(along)
    copy.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(real.astype(np.float32), "w"))
    return copy


@pytest.mark.parametrize("name", LAYERS)
def test_what_a_layer_reads_times_its_matrices_is_what_it_gives(name: str) -> None:
    model = only_layer(name)
    [layer] = layers_of(GraphIndex(model), 1)
    weights, values = LAYERS[name][1], correlated(1)
    products = np.einsum("rgn,gon->rgo", layer.rows(values), layer.matrices(weights)).reshape(-1, weights.shape[-1 if "mat" in name else 0])
    given = answers(model, [values]).reshape(1, weights.shape[0], -1)[0].T if "mat" not in name else answers(model, [values]).reshape(-1, 4)
    assert all(np.isclose(given, row, rtol=1e-3, atol=1e-4).all(axis=1).any() for row in products)
    assert np.array_equal(layer.restored(layer.matrices(weights), weights), weights)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layers_answers_come_nearer_to_the_float_models(name: str) -> None:
    model = only_layer(name)
    weights = planned(model).weights["w"]
    unseen = [correlated(seed) for seed in range(100, 120)]
    expected = answers(model, unseen)
    found = [
        signal_to_noise_db(expected, answers(with_integers(model, each), unseen)).mean()
        for each in (weights, weights.model_copy(update={"upward": None}))
    ]
    assert found[0] > found[1] + 3


def test_a_weight_becomes_one_of_its_two_nearest_integers() -> None:
    weights = planned(only_layer("conv")).weights["w"]
    values = LAYERS["conv"][1]
    steps, integers = weights.steps(values), weights.integers(values)
    assert np.abs(integers - steps).max() < 1
    assert 0 < np.mean(integers != np.rint(steps)) < 0.5
    assert np.abs(integers).max() <= 127


def test_inputs_that_have_nothing_in_common_leave_every_weight_at_the_nearest() -> None:
    steps = noise(2, 3, 40).astype(np.float64) * 50
    moments = np.stack([np.diag(np.arange(1.0, 41)), np.eye(40)])
    assert np.array_equal(settled(steps, moments), np.rint(steps))


def test_errors_that_inputs_share_cancel_each_other() -> None:
    steps = np.full((1, 1, 200), 0.4)
    alike = np.ones((1, 200, 200)) + np.eye(200) * 1e-3
    assert settled(steps, alike).sum() == pytest.approx(80, abs=1)  # each to the nearest would be 0


def test_one_sample_is_hardly_believed_and_many_are() -> None:
    [layer] = layers_of(GraphIndex(normalise(graph([node("Gemm", "x w", "y")], (1, 50), {"w": noise(50, 3)}))), 1)
    shares = []
    for count in (1, 1000):
        moments = Moments(layer)
        for _ in range(count):
            moments.add(np.ones((1, 50), np.float32))
        shares.append(float(moments.shrunk()[0, 0, 1] / moments.shrunk()[0, 0, 0]))
    assert shares[0] < 0.2
    assert shares[1] > 0.99


def test_what_is_kept_for_the_layers_does_not_grow_with_the_samples() -> None:
    model = only_layer("conv")
    observer = Observer(model, ["x"], tuple(layers_of(GraphIndex(model), 1)))
    sizes = set()
    for seed in range(300):
        observer.see({"x": noise(*SHAPE, seed=seed)}, {})
        [moments] = observer.moments.values()
        sizes.add(moments.sums.nbytes + sum(rows.nbytes for rows in moments.waiting))
    assert max(sizes) <= 54 * 54 * 8 + ROWS_AT_ONCE * 54 * 4


def test_a_constant_that_two_layers_read_is_rounded_to_the_nearest() -> None:
    nodes = [node("Gemm", "x w", "a"), node("Gemm", "a w", "y")]
    model = normalise(graph(nodes, (1, 6), {"w": noise(6, 6)}))
    assert calibrate(model, ({"x": noise(1, 6, seed=seed)} for seed in range(9)), 9, "minmax").plan.weights["w"].upward is None


@pytest.mark.parametrize(("level", "is_shared"), [(0.0, True), (30.0, False)])
def test_outputs_share_one_scale_only_where_rounding_the_result_hides_it(level: float, is_shared: bool) -> None:
    """Where large inputs cancel each other, the result is small and its steps are fine: each output needs its own scale."""
    weights = noise(16, 8)
    weights -= weights.mean(axis=0)
    model = normalise(graph([node("Gemm", "x w", "y")], (1, 16), {"w": weights}))
    samples = [{"x": noise(1, 16, seed=seed) + np.float32(level)} for seed in range(20)]
    scales = calibrate(model, samples, len(samples), "minmax").plan.weights["w"].scales
    assert (len(set(scales)) == 1) is is_shared


def test_convolutions_keep_a_scale_for_each_channel() -> None:
    assert len(set(planned(only_layer("conv")).weights["w"].scales)) == 5


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e25])
def test_strange_inputs_are_rounded_for_as_well(scale: float) -> None:
    model = normalise(graph([node("Gemm", "x w", "y")], (1, 16), {"w": noise(16, 9)}))
    samples = [{"x": noise(1, 16, seed=seed) * np.float32(scale)} for seed in range(8)]
    weights = calibrate(model, samples, len(samples), "minmax").plan.weights["w"]
    assert np.abs(weights.integers(GraphIndex(model).constants["w"]) - weights.steps(GraphIndex(model).constants["w"])).max() < 1
