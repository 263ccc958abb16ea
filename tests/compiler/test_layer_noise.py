"""Signal to noise inside the shipped file: the right tensors are compared, and the reasons given are the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings

from compiler.graph.interface import interface_of
from compiler.graph.normalise import normalise
from compiler.lower import lower
from compiler.quantize.calibrate import calibrate
from compiler.sqnr.measure import MAX_HELD_BYTES, LayerNoise, Measured, measure
from compiler.sqnr.powers import MIN_DB
from compiler.sqnr.subject import Subject
from compiler.targets import load_profile
from tests.compiler.graphs import Floats, graph, node, noise
from tests.compiler.tflite.test_tflite_random_graphs import feeds_of, graphs
from tests.sim.float_plan import plan_of

Feeds = list[dict[str, Floats]]
SHAPE = (1, 3, 6, 8)
# Each with the float tensors that its file still has.
FORMS = ("cpu", "rpi4", "coral", "jetson-orin", "jetson-nano", "cpu:tflite-int16", "cpu:tflite-float16", "cpu:tflite-dynamic")


def network(first: Floats | None = None) -> onnx.ModelProto:
    """Return two convolutions, a mean and a dense layer."""
    constants = {
        "w1": noise(5, 3, 3, 3, seed=1) if first is None else first,
        "b1": noise(5, seed=2),
        "w2": noise(4, 5, 1, 1, seed=3),
        "w3": noise(4, 6, seed=4),
    }
    nodes = [
        node("Conv", "x w1 b1", "c1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2", "c2", kernel_shape=[1, 1]),
        node("Relu", "c2", "r2"),
        node("GlobalAveragePool", "r2", "m"),
        node("Flatten", "m", "f"),
        node("MatMul", "f w3", "y"),
    ]
    return graph(nodes, SHAPE, constants)


def samples(count: int, *, seed: int, shape: Sequence[int] = SHAPE, reach: float = 1.0) -> Feeds:
    return [{"x": reach * noise(*shape, seed=100 * seed + number)} for number in range(count)]


def measured(model: onnx.ModelProto, target: str, calibration: Feeds, evaluation: Feeds, max_held_bytes: int = MAX_HELD_BYTES) -> Measured:
    normal, profile = normalise(model), load_profile(target)
    plan = calibrate(normal, calibration, len(calibration), "minmax").plan
    subject = Subject(profile, lower(profile, normal, plan), normal, plan, interface_of(normal, Path("model.onnx")))
    return measure(subject, evaluation, max_held_bytes)


def explained(found: Measured) -> dict[str, LayerNoise]:
    return {layer.name: layer for layer in found.layers if layer.explained}


@pytest.mark.parametrize("target", FORMS)
def test_every_form_has_the_same_layers_and_says_what_computed_them(target: str) -> None:
    found = measured(network(), target, samples(8, seed=1), samples(4, seed=2))
    computing = [layer for layer in found.layers if layer.operator not in ("Flatten", "Reshape")]
    assert [layer.operator for layer in computing] == ["Conv + Relu", "Conv + Relu", "GlobalAveragePool", "MatMul"]
    assert [layer.name for layer in computing[:2]] == ["c1", "c2"]
    assert found.samples == 4
    assert found.measured_by.endswith(" without XNNPACK") == (load_profile(target).runtime == "litert")


def test_two_runtimes_that_follow_one_plan_measure_the_same_noise() -> None:
    given = samples(8, seed=1), samples(8, seed=2)
    onnx_layers, lite_layers = (measured(network(), target, *given).layers for target in ("rpi4", "coral"))
    for ours, theirs in zip(onnx_layers[:2], lite_layers[:2], strict=True):
        assert 15 < ours.sqnr_db < 50
        assert theirs.sqnr_db == pytest.approx(ours.sqnr_db, abs=0.5)


def test_sixteen_bits_and_half_precision_stand_far_above_eight_bits() -> None:
    given = samples(8, seed=1), samples(8, seed=1)
    eight, half = (measured(network(), target, *given).layers for target in ("coral", "cpu:tflite-float16"))
    assert min(layer.sqnr_db for layer in half) > max(layer.sqnr_db for layer in eight) + 20


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_in_whatever_layout_the_file_lies_its_float_tensors_are_the_models(model: onnx.ModelProto) -> None:
    feeds, profile = feeds_of(model), load_profile("cpu:tflite-float32")
    plan = plan_of(model, feeds)
    subject = Subject(profile, lower(profile, model, plan), model, plan, interface_of(model, Path("model.onnx")))
    for layer in measure(subject, feeds).layers:
        assert layer.sqnr_db > 90, layer


def test_a_graph_that_does_not_fit_in_memory_at_once_is_measured_in_parts_alike() -> None:
    given = samples(4, seed=1), samples(4, seed=2)
    for target in ("cpu", "coral", "jetson-orin"):
        assert measured(network(), target, *given, max_held_bytes=1).layers == measured(network(), target, *given).layers


def test_three_layers_are_explained_and_their_noise_adds_up() -> None:
    found = measured(network(), "coral", samples(8, seed=1), samples(8, seed=2))
    worst = sorted(found.layers, key=lambda layer: layer.sqnr_db)[:3]
    assert [layer for layer in found.layers if layer.explained] == sorted(worst, key=found.layers.index)
    for layer in found.layers:
        assert layer.origins is not None
        parts = (layer.origins.inputs, layer.origins.weights, layer.origins.rounding, layer.origins.clipping, layer.origins.arithmetic)
        assert sum(parts) == pytest.approx(1, abs=0.001)
    assert found.layers[-1].origins is not None
    assert found.layers[-1].origins.inputs > 0.5


def test_values_that_calibration_never_saw_are_named_as_clipping() -> None:
    found = measured(network(), "coral", samples(8, seed=1), samples(8, seed=2, reach=4))
    told = [layer.explained for layer in found.layers if layer.explained]
    assert len(told) == 3
    for one in told:
        assert "it begins at the model's input x" in one.reason or "clipping: " in one.reason
        assert "calibration samples" in one.advice


def test_a_channel_that_reaches_far_beyond_the_others_is_named() -> None:
    kernel = noise(5, 3, 3, 3, seed=1)
    kernel[2] *= 60
    model = graph(
        [
            node("Conv", "x w1 b1", "c1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Relu", "c1", "r1"),
            node("Conv", "r1 w2", "y", kernel_shape=[1, 1]),
        ],
        SHAPE,
        {"w1": kernel, "b1": noise(5, seed=2), "w2": noise(4, 5, 1, 1, seed=3) / np.array([1, 1, 60, 1, 1]).reshape(1, 5, 1, 1)},
    )
    found = explained(measured(model, "coral", samples(8, seed=1), samples(8, seed=1)))
    assert found["y"].explained is not None
    assert "comes in with what it reads from c1 (Conv + Relu)" in found["y"].explained.reason
    assert "channel 2 reaches" in found["y"].explained.reason
    assert "scale that channel down" in found["y"].explained.advice


def test_parts_that_share_the_scale_of_a_far_wider_one_are_named() -> None:
    nodes = [
        node("Conv", "x wide", "a", kernel_shape=[1, 1]),
        node("Conv", "x narrow", "b", kernel_shape=[1, 1]),
        node("Concat", "a b", "y", axis=1),
    ]
    # Just within the widening that the plan accepts for one scale.
    model = graph(nodes, SHAPE, {"wide": noise(4, 3, 1, 1, seed=1), "narrow": noise(4, 3, 1, 1, seed=1) / 1.9})
    found = explained(measured(model, "coral", samples(8, seed=1), samples(8, seed=1)))
    assert found["b"].explained is not None
    assert "for it shares its scale with what y joins" in found["b"].explained.reason


def test_steps_on_the_side_that_a_tensor_never_takes_are_named_where_steps_are_symmetric() -> None:
    found = explained(measured(network(), "jetson-orin", samples(8, seed=1), samples(8, seed=1)))
    told = [layer.explained.reason for layer in found.values() if layer.explained]
    assert any("reach as far on both sides of zero" in reason for reason in told), told


def test_signal_that_cancels_out_while_its_noise_stays_is_named() -> None:
    twin = noise(4, 3, 1, 1, seed=1)
    nodes = [
        node("Conv", "x w1", "a", kernel_shape=[1, 1]),
        node("Conv", "x w2", "b", kernel_shape=[1, 1]),
        node("Sub", "a b", "y"),
    ]
    model = graph(nodes, SHAPE, {"w1": twin, "w2": twin + noise(4, 3, 1, 1, seed=2) / 50})
    found = explained(measured(model, "coral", samples(8, seed=1), samples(8, seed=1)))
    assert found["y"].explained is not None
    assert "dB of signal power cancel out here while the noise stays" in found["y"].explained.reason


def test_values_beyond_half_precision_are_named_and_measured_as_hopeless() -> None:
    found = measured(network(3e5 * noise(5, 3, 3, 3, seed=1)), "jetson-nano", samples(4, seed=1), samples(4, seed=1))
    first = found.layers[0]
    assert (first.name, first.sqnr_db, first.origins) == ("c1", MIN_DB, None)
    assert first.explained is not None
    assert "half precision ends at 65504" in first.explained.reason
