"""Small ONNX graphs, and runs of the `.tflite` files that come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

from compiler.quantize.plan import Plan
from tests.sim.float_plan import Feed, on_grid

Array = npt.NDArray[np.float32]
OPSET = 13


@dataclass(frozen=True)
class Case:
    """One operator on inputs x, y, ...; constants follow them as inputs c0, c1, ... ('' leaves one out)."""

    name: str
    op_type: str
    shapes: tuple[tuple[int, ...], ...]
    constants: tuple[npt.ArrayLike | None, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    opset: int = OPSET
    positive: bool = False  # inputs between 0.5 and 2
    # How far LiteRT may lie from the exact answer: half a step for rounding, the rest for its integer arithmetic.
    max_steps: float = 1.01

    def model(self) -> onnx.ModelProto:
        """Return the graph of this operator alone."""
        inputs = ["x", "y", "z"][: len(self.shapes)]
        constants = {f"c{place}": np.asarray(value) for place, value in enumerate(self.constants) if value is not None}
        names = [*inputs, *(f"c{place}" if value is not None else "" for place, value in enumerate(self.constants))]
        outputs = [f"out{place}" for place in range(self.outputs)]
        node = helper.make_node(self.op_type, names, outputs, name="node", **self.attributes)
        return model_of([node], dict(zip(inputs, self.shapes, strict=True)), outputs, constants, opset=self.opset)

    def feeds(self, count: int = 4) -> list[Feed]:
        """Return seeded random inputs."""
        random = np.random.default_rng(1)
        return [
            {
                name: (random.uniform(0.5, 2, shape) if self.positive else random.normal(size=shape)).astype(np.float32)
                for name, shape in zip("xyz", self.shapes, strict=False)
            }
            for _ in range(count)
        ]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Sequence[str],
    constants: Mapping[str, npt.NDArray[Any]],
    *,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """Return a graph in normal form: static shapes for all tensors, float32 and int64 constants as initializers."""
    tensors = [
        numpy_helper.from_array(value.astype(np.int64 if value.dtype.kind in "iu" else np.float32), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(inferred)
    return inferred


def float_outputs(model: onnx.ModelProto, feed: Feed) -> dict[str, Array]:
    """Return what ONNX Runtime computes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, dict(feed)), strict=True))


def lite_outputs(file: bytes, feed: Feed) -> dict[str, Array]:
    """Return what LiteRT computes, in real numbers."""
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], as_stored(feed[detail["name"]], detail))
    interpreter.invoke()
    return {detail["name"]: real(interpreter.get_tensor(detail["index"]), detail) for detail in interpreter.get_output_details()}


def as_stored(values: Array, detail: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return real numbers as a tensor of the file holds them."""
    scale, zero_point = detail["quantization"]
    if scale == 0:
        return values
    bounds = np.iinfo(detail["dtype"])
    steps: npt.NDArray[Any] = np.clip(np.rint(values / scale) + zero_point, bounds.min, bounds.max).astype(detail["dtype"])
    return steps


def real(steps: npt.NDArray[Any], detail: Mapping[str, Any]) -> Array:
    """Return the real numbers that a tensor of the file stands for."""
    scale, zero_point = detail["quantization"]
    return steps if scale == 0 else ((steps.astype(np.float64) - zero_point) * scale).astype(np.float32)


def snapped(feed: Feed, plan: Plan) -> dict[str, Array]:
    """Return inputs that int8 holds exactly."""
    snapped_feed = {}
    for name, values in feed.items():
        affine = plan.activations[name].asymmetric()
        steps = np.clip(np.rint(values / affine.scale) + affine.zero_point, -128, 127)
        snapped_feed[name] = ((steps - affine.zero_point) * affine.scale).astype(np.float32)
    return snapped_feed


def steps_apart(file: bytes, model: onnx.ModelProto, plan: Plan, feeds: Sequence[Feed]) -> dict[str, float]:
    """Return how many int8 steps LiteRT's answer lies from the float model's, whose weights and inputs are on the plan's grid."""
    exact, worst = on_grid(model, plan), dict.fromkeys((value.name for value in model.graph.output), 0.0)
    for feed in feeds:
        given = snapped(feed, plan)
        expected, found = float_outputs(exact, given), lite_outputs(file, given)
        assert expected.keys() == found.keys()
        for name, values in expected.items():
            assert found[name].shape == values.shape
            span = plan.activations[name]
            affine = span.asymmetric()
            held = np.clip(values, (-128 - affine.zero_point) * affine.scale, (127 - affine.zero_point) * affine.scale)
            worst[name] = max(worst[name], float(np.abs(found[name] - held).max()) / affine.scale)
    return worst


def operators(file: bytes) -> list[str]:
    """Return the names of the file's operators in order."""
    model, names = parsed(file), {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    return [names[model.operatorCodes[operator.opcodeIndex].builtinCode] for operator in model.subgraphs[0].operators]


def float_tensors(file: bytes) -> list[str]:
    """Return the names of the file's float tensors."""
    kinds = {schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.FLOAT64}
    return [tensor.name.decode() for tensor in parsed(file).subgraphs[0].tensors if tensor.type in kinds]


def parsed(file: bytes) -> Any:
    """Return the file as the schema's objects."""
    return schema.ModelT.InitFromPackedBuf(file, 0)
