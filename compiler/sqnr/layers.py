"""Decides what counts as a layer: the nodes between tensors that can be read in both the float model and the shipped file."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import onnx

from compiler.graph.index import GraphIndex
from compiler.quantize.planner import WEIGHTED
from compiler.quantize.ties import Ties

# They put values elsewhere, and add nothing to them.
MOVERS = frozenset(
    {
        *("DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "SpaceToDepth", "Split"),
        *("Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)
CHANNELS_SECOND = frozenset({"Conv", "ConvTranspose"})


@dataclass(frozen=True)
class Layer:
    """Everything that is computed between tensors that can be read: `nodes` make `tensor` out of `inputs`, in the graph's order."""

    tensor: str
    inputs: tuple[str, ...]
    nodes: tuple[onnx.NodeProto, ...]

    @property
    def main(self) -> onnx.NodeProto:
        """Return the node that people know the layer by: the one with weights, else the last that computes."""
        computing = self._computing
        return next((node for node in computing if node.op_type in WEIGHTED), computing[-1])

    @property
    def name(self) -> str:
        """Return the layer's name."""
        return str(self.main.name)

    @property
    def operator(self) -> str:
        """Return its operators in a row."""
        return " + ".join(node.op_type for node in self._computing)

    @property
    def _computing(self) -> list[onnx.NodeProto]:
        return [node for node in self.nodes if node.op_type not in MOVERS] or list(self.nodes)


def tensors_to_read(index: GraphIndex, is_quantized: Callable[[str], bool] = lambda _: False) -> list[str]:
    """Return the tensors that end a layer, in the graph's order: one for each node that computes, none where a clamp follows at once.

    What only moves values is a layer of its own where the shipped file quantizes its result and not already what it moves.
    """
    ties, found = Ties(index), []
    for node in index.model.graph.node:
        written = [name for name in node.output if name and index.is_activation(name) and index.shape(name) is not None]
        for name in written[:1]:
            is_moved = node.op_type in MOVERS
            if (is_quantized(name) and not is_quantized(_moved_from(index, name))) if is_moved else not ties.is_clamped(name):
                found.append(name)
    return found


def _moved_from(index: GraphIndex, tensor: str) -> str:
    """Return the tensor that holds a moved one's values first."""
    while tensor in index.writers and index.writers[tensor].op_type in MOVERS:
        tensor = index.writers[tensor].input[0]
    return tensor


def layers_of(index: GraphIndex, readable: Collection[str]) -> list[Layer]:
    """Return the layers that end in a tensor which the shipped file still has."""
    ends = {*readable, *(value.name for value in index.model.graph.input)}
    order = {node.name: place for place, node in enumerate(index.model.graph.node)}
    found = []
    for tensor in readable:
        nodes: dict[str, onnx.NodeProto] = {}
        inputs: dict[str, None] = {}
        _trace(index, tensor, ends, nodes, inputs)
        ordered = tuple(sorted(nodes.values(), key=lambda node: order[node.name]))
        found.append(Layer(tensor, tuple(inputs), ordered))
    return found


def _trace(index: GraphIndex, tensor: str, ends: Collection[str], nodes: dict[str, onnx.NodeProto], inputs: dict[str, None]) -> None:
    """Go from a tensor towards the model's inputs, up to the next tensors that can be read."""
    waiting = [tensor]
    while waiting:
        node = index.writers[waiting.pop()]
        if node.name in nodes:
            continue
        nodes[node.name] = node
        for name in node.input:
            if name in ends and name != tensor:
                inputs[name] = None
            elif name in index.writers:
                waiting.append(name)


def channel_axis(index: GraphIndex, tensor: str) -> int:
    """Return which axis of a tensor counts its channels: the second of images and of what a convolution writes, else the last."""
    rank = len(index.shape(tensor) or ())
    writers = _writers(index, tensor)
    return 1 if rank > 3 or (rank == 3 and any(node.op_type in CHANNELS_SECOND for node in writers)) else rank - 1


def _writers(index: GraphIndex, tensor: str) -> list[onnx.NodeProto]:
    """Return the node that writes a tensor, and the one before it: its clamp may stand between."""
    last = index.writers.get(tensor)
    return [] if last is None else [last, *(index.writers[name] for name in last.input[:1] if name in index.writers)]
