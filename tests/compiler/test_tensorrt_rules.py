"""Each rule finds the graph that breaks it and names the node; the command prints what it found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from compiler.lower.tensorrt_rules import RULES, Finding, lint
from tests.compiler.graphs import graph, node, noise
from tests.compiler.material import classifier, run

SHAPE = (1, 4, 8, 8)
ZERO = np.int8(0)


class Sketch:
    """A graph with Q/DQ pairs, built line by line."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Any] = {}

    def pair(self, name: str, *, scale: npt.ArrayLike = 0.1, zero: Any = ZERO, axis: int | None = None) -> Sketch:
        """Put a pair on a tensor: `<name>_q` and `<name>_dq`."""
        scales = np.asarray(scale, np.float32)
        self.constants |= {f"{name}_s": scales, f"{name}_z": np.full(scales.shape, zero, np.asarray(zero).dtype)}
        more = {} if axis is None else {"axis": axis}
        self.nodes.append(node("QuantizeLinear", f"{name} {name}_s {name}_z", f"{name}_q", **more))
        self.nodes.append(node("DequantizeLinear", f"{name}_q {name}_s {name}_z", f"{name}_dq", **more))
        return self

    def weights(self, name: str, shape: Sequence[int] = (4, 4, 1, 1), axis: int = 0) -> Sketch:
        """Add float weights with a pair for each output channel."""
        self.constants[name] = noise(*shape)
        return self.pair(name, scale=np.full(shape[axis], 0.02), axis=axis)

    def add(self, operator: str, inputs: str, output: str, **attributes: Any) -> Sketch:
        """Add a node."""
        self.nodes.append(node(operator, inputs, output, **attributes))
        return self

    def layer(self, source: str, output: str) -> Sketch:
        """Add a quantized convolution."""
        return self.weights(f"w_{output}").pair(source).add("Conv", f"{source}_dq w_{output}_dq", output)

    def model(self, **more: Any) -> onnx.ModelProto:
        """Return what was drawn; `y` is the output."""
        return graph(self.nodes, SHAPE, self.constants, **more)


def found(model: onnx.ModelProto, oldest: int | None = None) -> list[tuple[str, str]]:
    return [(finding.rule, finding.node) for finding in lint(model, oldest)]


def clean() -> Sketch:
    """Return a residual block that keeps every rule."""
    sketch = Sketch().layer("x", "c1").add("Relu", "c1", "r").layer("r", "c2")
    return sketch.add("Add", "c2 r_dq", "a").add("Relu", "a", "p").pair("p").add("GlobalAveragePool", "p_dq", "y")


def test_a_graph_by_the_rules_has_no_findings() -> None:
    assert found(clean().model()) == []
    assert found(clean().model(opset=19), oldest=11) == []


def test_a_graph_without_pairs_has_no_findings() -> None:
    assert found(classifier((1, 3, 8, 8))) == []


def test_constants_may_be_nodes() -> None:
    model = clean().model()
    for tensor in list(model.graph.initializer):
        model.graph.node.insert(0, node("Constant", "", tensor.name, value=tensor))
    del model.graph.initializer[:]
    assert found(model) == []


def test_scales_for_each_channel_need_opset_13() -> None:
    sketch = Sketch().pair("x").add("Relu", "x_dq", "y")
    assert found(sketch.model(opset=11)) == [("opset", "x_q")]


def test_integer_operators_are_not_read() -> None:
    sketch = Sketch().pair("x").add("DynamicQuantizeLinear", "x_dq", "d ds dz").add("DequantizeLinear", "d ds dz", "y")
    assert ("no-integer-operators", "d") in found(sketch.model())


def test_values_are_signed() -> None:
    assert found(Sketch().pair("x", zero=np.uint8(0)).add("Relu", "x_dq", "y").model()) == [("int8", "x_q")]


def test_values_whose_type_nothing_says_are_unsigned() -> None:
    sketch = Sketch().add("QuantizeLinear", "x s", "q").add("DequantizeLinear", "q s", "y")
    sketch.constants["s"] = 0.1
    assert found(sketch.model(), oldest=10) == [("int8", "q")]


def test_zero_points_are_zero() -> None:
    assert found(Sketch().pair("x", zero=np.int8(3)).add("Relu", "x_dq", "y").model()) == [("symmetric", "x_q")]


def test_scales_are_positive() -> None:
    assert found(Sketch().pair("x", scale=0.0).add("Relu", "x_dq", "y").model()) == [("constant-scale", "x_q")]


def test_scales_are_constants() -> None:
    sketch = Sketch().pair("x").add("Relu", "x_dq", "y")
    del sketch.constants["x_s"]
    sketch.nodes.insert(0, node("ReduceMax", "x", "x_s", keepdims=0))
    assert found(sketch.model()) == [("constant-scale", "x_q")]


def test_an_activation_has_one_scale() -> None:
    sketch = Sketch().pair("x", scale=[0.1, 0.2, 0.3, 0.4], axis=1).add("Relu", "x_dq", "y")
    assert found(sketch.model()) == [("per-tensor-activation", "x_q")]


@pytest.mark.parametrize(
    ("operator", "attributes", "shape", "wrong"),
    [("Conv", {}, (4, 4, 1, 1), 1), ("ConvTranspose", {}, (4, 4, 1, 1), 0), ("MatMul", {}, (8, 4), 0)],
)
def test_scales_of_weights_lie_along_the_output_channels(operator: str, attributes: Any, shape: tuple[int, ...], wrong: int) -> None:
    sketch = Sketch().pair("x").weights("w", shape, wrong).add(operator, "x_dq w_dq", "y", **attributes)
    assert found(sketch.model()) == [("weight-axis", "w_dq")]
    right = Sketch().pair("x").weights("w", shape, 1 - wrong).add(operator, "x_dq w_dq", "y", **attributes)
    assert found(right.model()) == []


@pytest.mark.parametrize(("turned", "axis"), [(0, 1), (1, 0)])
def test_the_axis_of_a_dense_layer_depends_on_its_turn(turned: int, axis: int) -> None:
    for chosen in (0, 1):
        sketch = Sketch().add("Flatten", "x", "f").pair("f").weights("w", (256, 256), chosen).add("Gemm", "f_dq w_dq", "y", transB=turned)
        assert found(sketch.model()) == ([] if chosen == axis else [("weight-axis", "w_dq")])


def test_integer_constants_are_weights_from_tensorrt_10_on() -> None:
    sketch = Sketch().pair("x").add("DequantizeLinear", "w s z", "w_dq", axis=0).add("Conv", "x_dq w_dq", "y")
    sketch.constants |= {"w": np.ones((4, 4, 1, 1), np.int8), "s": np.full(4, 0.1, np.float32), "z": np.zeros(4, np.int8)}
    assert found(sketch.model()) == [("float-weights", "w_dq")]
    assert found(sketch.model(), oldest=10) == []


def test_a_bias_stays_float() -> None:
    sketch = Sketch().pair("x").weights("w").add("DequantizeLinear", "b s", "b_dq", axis=0).add("Conv", "x_dq w_dq b_dq", "y")
    sketch.constants |= {"b": np.ones(4, np.int32), "s": np.full(4, 0.1, np.float32)}
    assert found(sketch.model()) == [("float-bias", "y")]


def test_a_weighted_operator_has_all_inputs_quantized_or_none() -> None:
    sketch = Sketch().pair("x").add("Conv", "x_dq w", "y")
    sketch.constants["w"] = noise(4, 4, 1, 1)
    assert found(sketch.model()) == [("all-inputs", "y")]
    assert found(Sketch().weights("w").add("Conv", "x w_dq", "y").model()) == [("all-inputs", "y")]


def test_nothing_stands_between_a_weighted_operator_and_its_activation_function() -> None:
    sketch = Sketch().layer("x", "c").pair("c").add("Sigmoid", "c_dq", "y")
    assert found(sketch.model()) == [("no-output", "c")]
    assert found(Sketch().layer("x", "c").layer("c", "y").model()) == []


def test_the_skip_input_of_a_sum_is_quantized() -> None:
    sketch = Sketch().layer("x", "c1").add("Relu", "c1", "r").layer("r", "c2").add("Add", "c2 r", "y")
    assert found(sketch.model()) == [("residual", "y")]


def test_of_two_products_in_a_sum_one_is_quantized() -> None:
    sketch = Sketch().layer("x", "c1").weights("w").add("Conv", "x_dq w_dq", "c2")
    assert found(sketch.add("Add", "c1 c2", "y").model()) == [("residual", "y")]


def test_a_sum_without_a_product_has_both_inputs_quantized_or_none() -> None:
    assert found(Sketch().pair("x").add("Relu", "x", "r").add("Add", "x_dq r", "y").model()) == [("residual", "y")]
    assert found(Sketch().add("Relu", "x", "r").add("Add", "x r", "y").model()) == []


def test_a_mean_before_a_quantized_layer_takes_integers_itself() -> None:
    sketch = Sketch().layer("x", "c").add("Relu", "c", "r").add("AveragePool", "r", "p", kernel_shape=[2, 2]).layer("p", "y")
    assert found(sketch.model()) == [("pool-input", "p")]


def test_an_operator_that_only_moves_values_does_not_rescale_them() -> None:
    for scale, expected in ((0.2, [("commuting", "m")]), (0.1, [])):
        sketch = Sketch().pair("x").add("MaxPool", "x_dq", "m", kernel_shape=[2, 2]).pair("m", scale=scale).add("Relu", "m_dq", "y")
        assert found(sketch.model()) == expected


def test_what_is_joined_has_one_scale() -> None:
    sketch = Sketch().add("Relu", "x", "r").pair("x").pair("r", scale=0.2).add("Concat", "x_dq r_dq", "y", axis=1)
    assert found(sketch.model()) == [("concat", "y")]
    partly = Sketch().add("Relu", "x", "r").pair("x").add("Concat", "x_dq r", "y", axis=1)
    assert found(partly.model()) == [("concat", "y")]


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the scales in half precision."""
    for tensor in model.graph.initializer:
        if tensor.name.endswith("_s"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    return model


def test_scales_of_half_precision_are_read_from_tensorrt_10_on() -> None:
    model = half(Sketch().pair("x").add("Relu", "x_dq", "y").model(opset=19))
    assert found(model, oldest=8) == [("half-scale", "x_q")]
    assert found(model, oldest=10) == []
    assert found(model) == []  # such a file cannot be meant for an older one


def test_a_pair_says_its_zero_points_before_tensorrt_10_and_always_one_for_each_scale() -> None:
    silent = Sketch().add("QuantizeLinear", "x s", "q", output_dtype=onnx.TensorProto.INT8).add("DequantizeLinear", "q s", "y")
    silent.constants["s"] = 0.1
    assert found(silent.model(opset=21)) == [("zero-point", "q"), ("zero-point", "y")]
    few = Sketch().pair("x").weights("w").add("Conv", "x_dq w_dq", "y")
    few.constants["w_z"] = np.zeros(2, np.int8)
    assert ("zero-point", "w_q") in found(few.model(), oldest=10)


def test_integers_go_to_a_dequantize_linear() -> None:
    cast = Sketch().pair("x").add("Cast", "x_q", "c", to=onnx.TensorProto.FLOAT).add("Add", "c x_dq", "y")
    assert ("whole-pair", "x_q") in found(cast.model())


def test_weights_have_a_scale_for_each_channel() -> None:
    sketch = Sketch().pair("x").weights("w").add("Conv", "x_dq w_dq", "y")
    sketch.constants |= {"w_s": np.full(2, 0.1, np.float32), "w_z": np.zeros(2, np.int8)}
    assert ("channel-scales", "w_dq") in found(sketch.model())


def advised(model: onnx.ModelProto, oldest: int = 8) -> list[tuple[str, str]]:
    assert lint(model, oldest) == []
    return [(finding.rule, finding.node) for finding in lint(model, oldest, "advice")]


def test_a_thin_convolution_is_better_left_in_float_unless_it_is_the_first() -> None:
    assert advised(clean().model()) == [("thin-convolution", "c2")]


@pytest.mark.parametrize(("channels", "window", "is_awkward"), [(4, 3, True), (8, 1, True), (8, 3, False)])
def test_grouped_convolutions_pay_with_full_lanes_and_a_real_window(channels: int, window: int, is_awkward: bool) -> None:
    sketch = Sketch().pair("x").weights("w", (channels, 1, window, window)).add("Conv", "x_dq w_dq", "y", group=4)
    assert advised(sketch.model()) == ([("awkward-groups", "y")] if is_awkward else [])


@pytest.mark.parametrize(("axis", "outputs", "is_narrow"), [(1, 32, True), (3, 32, False), (3, 8, True), (3, 1, True)])
def test_products_with_a_vector_or_a_narrow_matrix_gain_nothing(axis: int, outputs: int, is_narrow: bool) -> None:
    length = 256 if axis == 1 else 8
    sketch = Sketch().add("Flatten", "x", "f", axis=axis).pair("f").weights("w", (length, outputs), 1).add("MatMul", "f_dq w_dq", "y")
    narrow = is_narrow or length < 16
    model = onnx.shape_inference.infer_shapes(sketch.model())
    assert advised(model) == ([("narrow-product", "y")] if narrow else [])


def test_computed_weights_are_better_left_in_float() -> None:
    sketch = Sketch().pair("x").add("Transpose", "v", "w", perm=[1, 0, 2, 3]).pair("w").add("Conv", "x_dq w_dq", "y")
    sketch.constants["v"] = noise(4, 4, 1, 1)
    assert advised(sketch.model()) == [("computed-weights", "y")]


def test_from_tensorrt_11_on_the_rest_is_what_is_written() -> None:
    sketch = Sketch().pair("x").add("Relu", "x_dq", "y")
    assert advised(sketch.model(opset=19), oldest=11) == [("half-rest", "x_q")]
    assert advised(half(sketch.model(opset=19)), oldest=11) == []


def test_every_rule_is_broken_by_a_test_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [rule.id for rule in RULES if f'("{rule.id}"' not in source] == []


def saved(tmp_path: Path, model: onnx.ModelProto) -> str:
    onnx.save(onnx.shape_inference.infer_shapes(model), tmp_path / "model.onnx")
    return str(tmp_path / "model.onnx")


def test_the_command_ends_well_on_a_graph_by_the_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, complaint = run(["lint-tensorrt", saved(tmp_path, clean().model())], capsys)
    assert (status, complaint) == (0, "")
    assert printed.endswith("model.onnx: 0 findings against 19 rules, 1 against advice\n")
    assert "  c2: found 4 channels in, 4 out; leave it in float" in printed


def test_the_command_names_rule_node_finding_and_advice_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Sketch().pair("x", zero=np.int8(3)).add("Relu", "x_dq", "y").model()
    status, printed, _ = run(["lint-tensorrt", saved(tmp_path, broken)], capsys)
    assert status == 1
    assert "symmetric: Every zero point is 0." in printed
    assert "  x_q: found zero point 3; quantize symmetrically, with zero point 0" in printed


def test_the_findings_are_also_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Sketch().pair("x", zero=np.uint8(128)).add("Relu", "x_dq", "y").model()
    status, printed, _ = run(["lint-tensorrt", saved(tmp_path, broken), "--json"], capsys)
    assert status == 1
    assert [Finding(**finding) for finding in json.loads(printed)] == lint(broken)
    assert len(lint(broken)) == 2


def test_the_oldest_tensorrt_can_be_newer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sketch = Sketch().pair("x").add("DequantizeLinear", "w s z", "w_dq", axis=0).add("Conv", "x_dq w_dq", "y")
    sketch.constants |= {"w": np.ones((4, 4, 1, 1), np.int8), "s": np.full(4, 0.1, np.float32), "z": np.zeros(4, np.int8)}
    file = saved(tmp_path, sketch.model())
    assert run(["lint-tensorrt", file], capsys)[0] == 1
    assert run(["lint-tensorrt", file, "--oldest", "10"], capsys)[0] == 0


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "file: expected an ONNX model, found no such file"), (b"not a model", "content: ")]
)
def test_a_file_that_is_no_model_is_refused(
    content: bytes | None, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    status, printed, found = run(["lint-tensorrt", str(tmp_path / "model.onnx")], capsys)
    assert (status, printed) == (2, "")
    assert f"model.onnx: {complaint}" in found
