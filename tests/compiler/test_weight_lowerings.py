"""Lowerings that quantize weights alone: attention and recurrent models, and int4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from compiler.errors import OptionError
from compiler.graph.index import GraphIndex
from compiler.graph.normalise import normalise, sealed
from compiler.lower import LOWERINGS
from compiler.lower.ort_weights import BLOCK, packed_int4, to_dynamic_int8, to_int4_weights
from compiler.quantize.calibrate import calibrate, signal_to_noise_db
from compiler.quantize.plan import Plan
from compiler.targets import LoweringName, load_profile
from contracts.bundle import read_bundle
from tests.compiler.graphs import answers, graph, node, noise, operators
from tests.compiler.material import digits_command, run

STEPS, WIDTH, HIDDEN = 6, 64, 16
SAMPLES = [noise(1, STEPS, WIDTH, seed=seed) for seed in range(8)]
EXACT = {"session.x64quantprecision": "1"}


def planned(nodes: list[onnx.NodeProto], constants: dict[str, Any]) -> tuple[onnx.ModelProto, Plan]:
    model = normalise(graph(nodes, (1, STEPS, WIDTH), constants))
    return model, calibrate(model, ({"x": sample} for sample in SAMPLES), len(SAMPLES), "minmax").plan


def attention() -> tuple[onnx.ModelProto, Plan]:
    projections = [node("MatMul", f"x w{name}", name) for name in "qkv"]
    nodes = [
        *projections,
        node("Transpose", "k", "t", perm=[0, 2, 1]),
        node("MatMul", "q t", "s"),
        node("Softmax", "s", "a", axis=-1),
        node("MatMul", "a v", "o"),
        node("ReduceMean", "o", "p", axes=[1], keepdims=0),
        node("Gemm", "p w b", "y", transB=1),
    ]
    weights = {f"w{name}": noise(WIDTH, WIDTH, seed=ord(name)) / 8 for name in "qkv"}
    return planned(nodes, {**weights, "w": noise(5, WIDTH), "b": noise(5)})


def recurrent(directions: int) -> tuple[onnx.ModelProto, Plan]:
    direction = "bidirectional" if directions == 2 else "forward"
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("LSTM", "t W R B", "all last", hidden_size=HIDDEN, direction=direction),
        node("Reshape", "all flat", "f"),
        node("Gemm", "f w b", "y"),
    ]
    gates = {
        "W": noise(directions, 4 * HIDDEN, WIDTH) / 5,
        "R": noise(directions, 4 * HIDDEN, HIDDEN) / 5,
        "B": noise(directions, 8 * HIDDEN),
    }
    size = STEPS * directions * HIDDEN
    return planned(nodes, {**gates, "flat": np.array([1, size]), "w": noise(size, 4), "b": noise(4)})


def test_attention_with_activations_quantized_as_they_come_answers_alike() -> None:
    model, plan = attention()
    lowered = to_dynamic_int8(model, plan)
    assert operators(lowered).count("MatMulInteger") == 4
    assert signal_to_noise_db(answers(model, SAMPLES), answers(lowered, SAMPLES, **EXACT)).mean() > 25


def test_its_integers_are_the_plans() -> None:
    model, plan = attention()
    constants, index = GraphIndex(model).constants, GraphIndex(to_dynamic_int8(model, plan))
    assert np.array_equal(index.constants["q/weights"], plan.weights["wq"].integers(constants["wq"]))
    assert np.array_equal(index.constants["y/weights"], plan.weights["w"].integers(constants["w"]).T)


@pytest.mark.parametrize("directions", [1, 2])
def test_a_recurrent_layer_is_quantized_in_each_direction(directions: int) -> None:
    model, plan = recurrent(directions)
    lowered = to_dynamic_int8(model, plan)
    assert "DynamicQuantizeLSTM" in operators(lowered)
    assert len(sealed(lowered)) < 0.5 * len(sealed(model))
    assert signal_to_noise_db(answers(model, SAMPLES), answers(lowered, SAMPLES, **EXACT)).mean() > 25


def test_four_bits_a_weight_with_a_scale_for_every_block() -> None:
    model, plan = attention()
    lowered = to_int4_weights(model, plan)
    assert operators(lowered).count("MatMulNBits") == 4
    assert len(sealed(lowered)) < 0.25 * len(sealed(model))
    assert signal_to_noise_db(answers(model, SAMPLES), answers(lowered, SAMPLES)).mean() > 10


def test_packed_weights_are_at_most_half_a_step_off() -> None:
    rows = noise(3, BLOCK + 5)
    packed, scales = packed_int4(rows)
    assert (packed.shape, scales.shape) == ((3, 2, BLOCK // 2), (6,))
    steps = np.stack([packed & 15, packed >> 4], axis=3).reshape(3, 2, BLOCK).astype(np.float32) - 8
    values = (steps * scales.reshape(3, 2, 1)).reshape(3, -1)[:, : BLOCK + 5]
    assert np.abs(values - rows).max() <= scales.max() / 2 + 1e-6


@pytest.mark.parametrize("lowering", ["ort-dynamic", "ort-int4"])
def test_a_lowering_can_be_asked_for(lowering: LoweringName, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, complaint = run(digits_command(tmp_path / "bundle", "--target", f"rpi5:{lowering}"), capsys)
    assert (status, complaint) == (0, "")
    assert read_bundle(tmp_path / "bundle").artifacts["rpi5"].precision == LOWERINGS[lowering].precision


def test_a_lowering_that_a_target_does_not_have_is_refused() -> None:
    with pytest.raises(
        OptionError, match="expected one of tensorrt-int8-fp16, tensorrt-int8, tensorrt-fp16 after the colon, found 'ort-int4'"
    ):
        load_profile("jetson-orin:ort-int4")
