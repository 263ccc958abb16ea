"""Random small graphs of supported operators compute in every lowering what the float model computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from compiler.evaluate.runner import Runner
from compiler.evaluate.runtimes import open_shipped
from compiler.graph.interface import interface_of
from compiler.graph.normalise import normalise
from compiler.lower import lower
from compiler.lower.tflite import TfliteForm, to_tflite
from compiler.quantize.calibrate import calibrate
from compiler.targets import load_profile
from tests.compiler.tflite.cases import normal
from tests.compiler.tflite.lite import float_outputs, float_tensors, lite_outputs, model_of
from tests.sim.float_plan import Feed, plan_of
from tests.sim.plan_run import simulation

Shape = tuple[int, ...]
Array = npt.NDArray[np.float32]
Step = Callable[["Sketch", str], None]
Draw = Callable[[st.SearchStrategy[Any]], Any]


class Sketch:
    """A graph in the making; every step takes some tensor so far and adds one of its making."""

    def __init__(self, draw: Draw, shape: Shape) -> None:
        self.draw = draw
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Any] = {}
        self.shapes: dict[str, Shape] = {"x": shape}
        self.used: set[str] = set()

    def add(self, op_type: str, inputs: list[str], shape: Shape, **attributes: Any) -> None:
        name = f"t{len(self.nodes)}"
        self.used.update(inputs)
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=f"n{len(self.nodes)}", **attributes))
        self.shapes[name] = shape

    def constant(self, values: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def weights(self, *shape: int) -> str:
        return self.constant(normal(*shape, seed=len(self.constants)) / np.sqrt(np.prod(shape[1:])))

    def model(self) -> onnx.ModelProto:
        made = [node.output[0] for node in self.nodes]
        results = [name for name in made if name not in self.used]
        return model_of(self.nodes, {"x": self.shapes["x"]}, results, self.constants, opset=17)


def convolution(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    if len(shape) != 4 or min(shape[2:]) < 3:
        return rectifier(sketch, name)
    channels, height, width = shape[1:]
    stride, pad = sketch.draw(st.sampled_from([1, 2])), sketch.draw(st.sampled_from([0, 1]))
    group = sketch.draw(st.sampled_from([1, channels, 2 if channels % 2 == 0 else 1]))
    outputs = group * sketch.draw(st.integers(1, 3))
    size = tuple((length + 2 * pad - 3) // stride + 1 for length in (height, width))
    inputs = [name, sketch.weights(outputs, channels // group, 3, 3), sketch.weights(outputs)]
    sketch.add("Conv", inputs, (1, outputs, *size), kernel_shape=[3, 3], strides=[stride] * 2, pads=[pad] * 4, group=group)
    return None


def pool(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    if len(shape) != 4 or min(shape[2:]) < 2:
        return rectifier(sketch, name)
    size = tuple((length - 2) // 2 + 1 for length in shape[2:])
    kind = sketch.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    sketch.add(kind, [name], (*shape[:2], *size), kernel_shape=[2, 2], strides=[2, 2])
    return None


def rectifier(sketch: Sketch, name: str) -> None:
    kind = sketch.draw(st.sampled_from(["Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid"]))
    sketch.add(kind, [name], sketch.shapes[name])


def clip(sketch: Sketch, name: str) -> None:
    sketch.add("Clip", [name, sketch.constant(np.float32(0)), sketch.constant(np.float32(6))], sketch.shapes[name])


def sum_or_product(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    others = [other for other, their in sketch.shapes.items() if their == shape]
    kind = sketch.draw(st.sampled_from(["Add", "Sub", "Mul", "Max"]))
    sketch.add(kind, [name, sketch.draw(st.sampled_from(others))], shape)


def sum_with_constant(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    axis = sketch.draw(st.integers(0, len(shape) - 1))
    numbers = normal(*(size if place == axis else 1 for place, size in enumerate(shape)))
    sketch.add(sketch.draw(st.sampled_from(["Add", "Mul"])), [name, sketch.constant(numbers)], shape)


def joined(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    axis = sketch.draw(st.integers(1, len(shape) - 1))
    sketch.add("Concat", [name, name], tuple(size * 2 if place == axis else size for place, size in enumerate(shape)), axis=axis)


def turned(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    moves = [0, *sketch.draw(st.permutations(range(1, len(shape))))]
    sketch.add("Transpose", [name], tuple(shape[axis] for axis in moves), perm=moves)


def reshaped(sketch: Sketch, name: str) -> None:
    count = int(np.prod(sketch.shapes[name]))
    first = sketch.draw(st.sampled_from([size for size in range(1, count + 1) if count % size == 0]))
    target = sketch.draw(st.sampled_from([(1, first, count // first), (1, first, 1, count // first), (1, count)]))
    sketch.add("Reshape", [name, sketch.constant(target)], target)


def dense(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    outputs = sketch.draw(st.integers(1, 6))
    if len(shape) == 2:
        sketch.add("Gemm", [name, sketch.weights(outputs, shape[1]), sketch.weights(outputs)], (shape[0], outputs), transB=1)
    else:
        sketch.add("MatMul", [name, sketch.weights(shape[-1], outputs)], (*shape[:-1], outputs))


def mean(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    if len(shape) < 3:
        return rectifier(sketch, name)
    axis = sketch.draw(st.integers(1, len(shape) - 1))
    sketch.add("ReduceMean", [name], tuple(size for place, size in enumerate(shape) if place != axis), axes=[axis], keepdims=0)
    return None


def cut(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    axis = sketch.draw(st.integers(1, len(shape) - 1))
    start = sketch.draw(st.integers(0, shape[axis] - 1))
    bounds = [sketch.constant([start]), sketch.constant([shape[axis]]), sketch.constant([axis])]
    sketch.add("Slice", [name, *bounds], tuple(size - start if place == axis else size for place, size in enumerate(shape)))


def normalized(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    inputs = [name, sketch.weights(shape[-1], 1), sketch.weights(shape[-1], 1)]
    factors = [sketch.constant(1 + np.asarray(sketch.constants[constant]).ravel() / 4) for constant in inputs[1:]]
    sketch.add("LayerNormalization", [name, *factors], shape, axis=-1)


def curve(sketch: Sketch, name: str) -> None:
    kind = sketch.draw(st.sampled_from(["Erf", "Softplus", "Softsign", "Selu"]))
    sketch.add(kind, [name], sketch.shapes[name])


def attended(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    if len(shape) < 3:
        return rectifier(sketch, name)
    moves = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    sketch.add("Transpose", [name], tuple(shape[axis] for axis in moves), perm=moves)
    sketch.add("MatMul", [name, f"t{len(sketch.nodes) - 1}"], (*shape[:-1], shape[-2]))
    sketch.add("Softmax", [f"t{len(sketch.nodes) - 1}"], (*shape[:-1], shape[-2]), axis=-1)
    return None


def repeated(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    repeats = [1, *(sketch.draw(st.integers(1, 2)) for _ in shape[1:])]
    result = tuple(size * count for size, count in zip(shape, repeats, strict=True))
    sketch.add("Tile", [name, sketch.constant(repeats)], result)


def chosen(sketch: Sketch, name: str) -> None:
    shape = sketch.shapes[name]
    places = sketch.draw(st.lists(st.integers(0, shape[-1] - 1), min_size=2, max_size=4))
    sketch.add("Gather", [name, sketch.constant(places)], (*shape[:-1], len(places)), axis=len(shape) - 1)


STEPS = [convolution, pool, rectifier, clip, sum_or_product, sum_with_constant, joined, turned, reshaped, dense, mean, cut]
# What is computed in float between integers, or only since opset 17.
WILD_STEPS = [*STEPS, normalized, curve, attended, repeated, chosen]
MAX_ELEMENTS = 4096


@st.composite
def graphs(draw: Draw, steps: Sequence[Step] = STEPS) -> onnx.ModelProto:
    sketch = Sketch(draw, (1, draw(st.integers(1, 4)), draw(st.integers(3, 7)), draw(st.integers(3, 7))))
    for _ in range(draw(st.integers(1, 7))):
        small = [name for name, shape in sketch.shapes.items() if np.prod(shape) <= MAX_ELEMENTS]
        # Mostly on from the newest, so that graphs become deep as well as broad.
        name = small[-1] if draw(st.booleans()) else draw(st.sampled_from(small))
        draw(st.sampled_from(steps))(sketch, name)
    return sketch.model()


def feeds_of(model: onnx.ModelProto) -> list[Feed]:
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    return [{"x": normal(*shape, seed=seed)} for seed in range(3)]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_a_random_graph_in_float32_is_the_same_function(model: onnx.ModelProto) -> None:
    feeds = feeds_of(model)
    file = to_tflite(model, plan_of(model, feeds), TfliteForm("float32"))
    for feed in feeds:
        found = lite_outputs(file, feed)
        for name, expected in float_outputs(model, feed).items():
            assert found[name].shape == expected.shape
            np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


def test_random_graphs_in_int8_agree_with_the_plans_simulation_to_one_step() -> None:
    apart: list[Array] = []

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(graphs())
    def agrees(model: onnx.ModelProto) -> None:
        normal_form, feeds = normalise(model), feeds_of(model)
        plan = calibrate(normal_form, feeds, len(feeds), "minmax").plan
        file = to_tflite(normal_form, plan, TfliteForm())
        assert float_tensors(file) == []
        for feed, outputs in zip(feeds, simulation(normal_form, plan, feeds), strict=True):
            answers = lite_outputs(file, feed)
            for output, expected in outputs.items():
                apart.append(np.abs(answers[output] - expected).ravel() / plan.activations[output].asymmetric().scale)

    agrees()
    assert np.mean(np.concatenate(apart) < 1.01) >= 0.999


def root_mean_square(rows: Sequence[Array]) -> float:
    return float(np.sqrt(np.mean(np.square(np.concatenate([row.ravel() for row in rows]).astype(np.float64)))))


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(graphs(WILD_STEPS))
def test_a_random_graph_answers_like_the_float_model_in_all_three_lowerings(model: onnx.ModelProto) -> None:
    feeds = [{"x": normal(*(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim), seed=seed)} for seed in range(8)]
    normalised = normalise(model)
    interface = interface_of(normalised, Path("random"))
    plan = calibrate(normalised, feeds, len(feeds), "minmax").plan
    float_model = Runner("float", model.SerializeToString(), {})
    expected = [float_model.infer(feed) for feed in feeds]
    for target in ("rpi5", "rpi5:tflite-int8", "jetson-orin"):
        profile = load_profile(target)
        engine = open_shipped(profile, lower(profile, normalised, plan), interface)
        found = [engine.infer(feed) for feed in feeds]
        for spec in interface.outputs:
            answers = [answer[spec.name] for answer in expected]
            noise = root_mean_square([other[spec.name] - answer for other, answer in zip(found, answers, strict=True)])
            step = plan.activations[spec.name].asymmetric().scale
            assert noise < max(root_mean_square(answers) / 4, 1.5 * step), (target, spec.name)
