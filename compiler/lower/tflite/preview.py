"""Says for each node of a float graph whether the TFLite lowering has an integer form of it, by lowering it; no plan is needed."""

from __future__ import annotations

import onnx

from compiler.graph.index import GraphIndex
from compiler.lower.tflite.build import Build
from compiler.lower.tflite.errors import UnsupportedOpError
from compiler.lower.tflite.ir import Tensor
from compiler.lower.tflite.kinds import FACTS, Rule
from compiler.lower.tflite.node import Node, node_of
from compiler.lower.tflite.table import LOWERINGS
from compiler.lower.tflite.view import View, as_is
from compiler.quantize.plan import Activation, Plan

# What lowering raises on graphs that no importer would let through, such as computed axes.
_FAULTS = (KeyError, ValueError, IndexError, TypeError, AssertionError)


def assumed_plan(model: onnx.ModelProto) -> Plan:
    """Return a plan that gives every activation some range: the operators that come of it are those of any plan."""
    index = GraphIndex(model)
    span = Activation(low=-1, high=1, calibrator="assumed")
    return Plan(activations={name: span for name in index.values if index.is_activation(name)}, weights={})


def integer_forms(model: onnx.ModelProto) -> dict[str, str | None]:
    """Return by node name why it has no integer form, None for a node that has one; nodes behind a refused one are looked at as well."""
    build = Build(model, assumed_plan(model))
    found: dict[str, str | None] = {}
    for proto in model.graph.node:
        node, before = node_of(proto), len(build.ops)
        build.at = node.name
        try:
            found[node.name] = _lowered(node, build, before)
        except (UnsupportedOpError, *_FAULTS) as error:
            found[node.name] = error.reason if isinstance(error, UnsupportedOpError) else f"its form cannot be told ({error})"
            for name in filter(None, node.outputs):
                _bind_anything(node, build, name)
    return found


def _lowered(node: Node, build: Build, before: int) -> str | None:
    if node.op_type not in LOWERINGS:
        raise node.refusal("TFLite has no equivalent that is known here")
    LOWERINGS[node.op_type](node, build)
    in_float = sorted({op.kind.name for op in build.ops[before:] if FACTS[op.kind].rule is Rule.FLOAT})
    return f"TFLite has no int8 form of {', '.join(in_float)}" if in_float else None


def _bind_anything(node: Node, build: Build, name: str) -> None:
    """Let the nodes behind a refused one be lowered all the same."""
    try:
        shape = build.shape(node, name)
    except UnsupportedOpError:
        return
    build.bind(name, View(Tensor(name, shape, None), as_is(len(shape))))
