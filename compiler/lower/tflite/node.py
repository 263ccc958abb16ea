"""One ONNX node with typed access to its attributes, and the refusal that names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from compiler.lower.tflite.errors import UnsupportedOpError

CUT_BEFORE = "end the model before this node, or compile it for a target that is served by ONNX Runtime"


@dataclass(frozen=True)
class Node:
    """An operator of the model; a missing optional input is the name ''."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, onnx.AttributeProto]

    def input(self, place: int) -> str:
        """Return the name of an input, '' where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def integer(self, name: str, default: int) -> int:
        """Return a whole number."""
        return int(self.attributes[name].i) if name in self.attributes else default

    def integers(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """Return whole numbers."""
        return tuple(self.attributes[name].ints) if name in self.attributes else tuple(default)

    def real(self, name: str, default: float) -> float:
        """Return a real number."""
        return float(self.attributes[name].f) if name in self.attributes else default

    def text(self, name: str, default: str) -> str:
        """Return a word."""
        return bytes(self.attributes[name].s).decode() if name in self.attributes else default

    def axis(self, rank: int, default: int) -> int:
        """Return the attribute `axis`, counted from the front."""
        return self.integer("axis", default) % rank

    def refusal(self, reason: str, advice: str = CUT_BEFORE) -> UnsupportedOpError:
        """Return the error that this node cannot be lowered."""
        return UnsupportedOpError(self.name, self.op_type, reason, advice)


def node_of(proto: onnx.NodeProto) -> Node:
    """Return a node; one without a name is called by its first output."""
    kind = proto.op_type if proto.domain in {"", "ai.onnx"} else f"{proto.domain}::{proto.op_type}"
    attributes = {attribute.name: attribute for attribute in proto.attribute}
    return Node(proto.name or proto.output[0], kind, tuple(proto.input), tuple(proto.output), attributes)


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the static shapes that the model states; a tensor without one is left out."""
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    stated = {value.name: value.type.tensor_type.shape.dim for value in values if value.type.tensor_type.HasField("shape")}
    shapes = {name: tuple(dim.dim_value for dim in dims) for name, dims in stated.items()}
    return {name: shape for name, shape in shapes.items() if all(size > 0 for size in shape)}
