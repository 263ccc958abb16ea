"""Runs the plan's own simulation of a graph, and shows of a graph every tensor that a lowering stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import onnx

from compiler.graph.index import GraphIndex
from compiler.lower.ort import simulated
from compiler.quantize.observe import open_session, run
from compiler.quantize.plan import Plan
from tests.sim.float_plan import Feed

# What lowerings apply before a result is stored, so that no rounding happens between.
ACTIVATIONS = {"Relu", "Clip"}


def exposed(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Return the model with every tensor that is stored as an output."""
    copy, index = onnx.ModelProto(), GraphIndex(model)
    copy.CopyFrom(model)
    made = [name for node in model.graph.node for name in node.output if name in plan.activations and name not in index.outputs]
    copy.graph.output.extend(index.values[name] for name in made if not _is_only_activated(index, name))
    return copy


def simulation(model: onnx.ModelProto, plan: Plan, feeds: Sequence[Feed]) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
    """Yield the outputs of each run."""
    session = open_session(simulated(model, plan))
    return (dict(run(session, feed)) for feed in feeds)


def _is_only_activated(index: GraphIndex, name: str) -> bool:
    reader = index.only_reader(name)
    return reader is not None and reader.op_type in ACTIVATIONS
