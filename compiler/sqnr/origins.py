"""Finds where a layer's noise comes from, by computing the layer alone: on the shipped file's inputs, and with the plan's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from compiler.evaluate.port import Array
from compiler.evaluate.runner import RUNTIME_ERRORS, RunError
from compiler.graph.index import GraphIndex, set_constant
from compiler.quantize.observe import run
from compiler.quantize.plan import Plan
from compiler.sqnr.layers import Layer
from compiler.sqnr.powers import Powers

OriginName = Literal["inputs", "weights", "rounding", "clipping", "arithmetic"]
ORIGINS: tuple[OriginName, ...] = get_args(OriginName)


@dataclass(frozen=True)
class Origins:
    """Shares of a layer's noise, together 1.

    Brought by its inputs; made by rounding its weights, by rounding its result to steps, by the ends of these steps; and what is left
    over, which is the shipped kernels' own arithmetic: half precision, tables instead of functions.
    """

    inputs: float
    weights: float
    rounding: float
    clipping: float
    arithmetic: float

    @property
    def largest(self) -> OriginName:
        """Return the name of the largest share."""
        return max(ORIGINS, key=self.share)

    def share(self, name: OriginName) -> float:
        """Return one share by its name."""
        shares = (self.inputs, self.weights, self.rounding, self.clipping, self.arithmetic)
        return shares[ORIGINS.index(name)]


class Bench:
    """One layer on its own, in float, with its own weights and with those that the plan makes of them."""

    def __init__(self, layer: Layer, index: GraphIndex, plan: Plan | None) -> None:
        """With `plan` None the shipped file's weights are not the plan's, and are taken for exact."""
        self.layer = layer
        model = _cut_out(layer, index)
        self._plain = _opened(model)
        weights = {name: chosen for name, chosen in plan.weights.items() if name in index.constants} if plan else {}
        used = [name for node in layer.nodes for name in node.input if name in weights]
        for name in used:
            chosen, values = weights[name], index.constants[name]
            along = [-1 if axis == chosen.axis else 1 for axis in range(values.ndim)]
            scales = np.asarray(chosen.scales, np.float32).reshape(along)
            set_constant(model, name, chosen.integers(values).astype(np.float32) * scales)
        self._rounded = _opened(model) if used else None
        self._brought = self._made = 0.0

    def add(self, expected: Mapping[str, Array], shipped: Mapping[str, Array]) -> None:
        """Add one sample: the tensors of the float model, and what the shipped file has in their place."""
        self._brought += self._noise(self._plain, shipped, expected)
        if self._rounded is not None:
            self._made += self._noise(self._rounded, expected, expected)

    def _noise(self, session: onnxruntime.InferenceSession, inputs: Mapping[str, Array], expected: Mapping[str, Array]) -> float:
        [(name, found)] = run(session, {name: inputs[name] for name in self.layer.inputs})
        with np.errstate(invalid="ignore"):
            return float(np.square(found.astype(np.float64) - expected[name]).sum())

    def origins(self, powers: Powers) -> Origins | None:
        """Return the shares, `powers` being of the same samples; None for a layer without noise, or whose values are no numbers."""
        found = [self._brought, self._made, powers.rounding, powers.clipping]
        if not all(map(math.isfinite, (*found, powers.noise))):
            return None
        found.append(max(0.0, powers.noise - sum(found)))
        whole = sum(found)
        return Origins(*(round(part / whole, 4) for part in found)) if whole > 0 else None


def _opened(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Load one layer; a network has many, so that none keeps the memory of its last run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise RunError("layer", str(error)) from error


def _cut_out(layer: Layer, index: GraphIndex) -> onnx.ModelProto:
    used = {name for node in layer.nodes for name in node.input}
    graph = helper.make_graph(
        nodes=list(layer.nodes),
        name="layer",
        inputs=[index.values[name] for name in layer.inputs],
        outputs=[index.values[layer.tensor]],
        initializer=[tensor for tensor in index.model.graph.initializer if tensor.name in used],
    )
    return helper.make_model(graph, opset_imports=list(index.model.opset_import), ir_version=index.model.ir_version)
