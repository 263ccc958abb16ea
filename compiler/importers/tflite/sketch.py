"""Draws an ONNX graph from TensorFlow Lite's operators, and decides for each 4-D value whether channels come last or second.

The file's own layout is channels last. Convolutions are drawn with channels second, as ONNX has them; what can be computed either
way follows its inputs, so that a Transpose is drawn only where the two meet, and once for each value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.errors import ModelError
from compiler.importers.tflite.flatbuffer import NUMPY_TYPES, Array, FlatModel, Operator, Tensor

OPSET = 17  # the newest that TensorRT 8.5 reads
TO_SECOND, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class Sketch:
    """A graph being drawn; `place` is the file that errors name."""

    def __init__(self, flat: FlatModel, place: str) -> None:
        self.place = place
        self.flat = flat
        self._taken: set[str] = set()
        ends = dict.fromkeys((*flat.inputs, *flat.outputs))
        # Inputs and outputs keep their names; whoever else has the same one gives way.
        self._names = {index: self._free_name(flat.tensors[index].name or f"tensor_{index}") for index in ends}
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._last: dict[int, str] = {index: self._names[index] for index in flat.inputs}
        self._second: dict[int, str] = {}
        self._folded: dict[int, Array] = {}

    def tensor(self, index: int) -> Tensor:
        """Return a tensor of the file; raise IndexError for -1, an input left out that its operator cannot do without."""
        if index < 0:
            raise IndexError("an input is left out")
        return self.flat.tensors[index]

    def refuse(self, operator: Operator, expected: str, found: str) -> NoReturn:
        """Raise the ModelError that names an operator."""
        raise ModelError(self.place, operator.place, expected, found)

    def options(self, operator: Operator, name: str) -> Any:
        """Return an operator's options, the schema's defaults where it carries none; raise ModelError for another operator's."""
        from ai_edge_litert import schema_py_generated as schema

        expected = getattr(schema, f"{name}T")
        if operator.options is None:
            return expected()
        if not isinstance(operator.options, expected):
            self.refuse(operator, name, type(operator.options).__name__.removesuffix("T"))
        return operator.options

    def constant(self, index: int) -> Array | None:
        """Return a constant's values, integers that stand for real numbers as float32; None for what is computed."""
        tensor = self.tensor(index)
        if tensor.data is None:
            return self._folded.get(index)
        if tensor.quantization is not None:
            return tensor.quantization.real(tensor.data)
        return tensor.data.astype(np.float32) if tensor.datatype == "FLOAT16" else tensor.data

    def is_constant(self, index: int) -> bool:
        """Say whether a tensor has the same values whatever the inputs are."""
        return index in self._folded or self.tensor(index).data is not None

    def fold(self, index: int, values: Array) -> None:
        """Say that a tensor, computed by an operator, is always the same."""
        self._folded[index] = values

    def constant_of(self, operator: Operator, position: int, what: str) -> Array:
        """Return the constant at an operator's input; raise ModelError when it is computed or left out."""
        index = operator.inputs[position] if position < len(operator.inputs) else -1
        values = self.constant(index) if index >= 0 else None
        if values is None:
            self.refuse(operator, f"a constant {what}", "one that is computed while the model runs")
        return values

    def has_second(self, index: int) -> bool:
        """Say whether a computed value is at hand with its channels second."""
        return index in self._second

    def last(self, index: int) -> str:
        """Return a value's name in the file's own layout."""
        if index not in self._last:
            if (values := self.constant(index)) is not None:
                self._last[index] = self.fixed(values, self.tensor(index).name)
            else:
                name = self._names.get(index) or self._free_name(f"{self.tensor(index).name}_last")
                self._last[index] = self._transposed(self._second[index], TO_LAST, name)
        return self._last[index]

    def second(self, index: int) -> str:
        """Return a 4-D value's name with its channels second."""
        if index not in self._second:
            name = f"{self.tensor(index).name}_second"
            if (values := self.constant(index)) is not None:
                self._second[index] = self.fixed(values.transpose(TO_SECOND), name)
            else:
                self._second[index] = self._transposed(self._last[index], TO_SECOND, self._free_name(name))
        return self._second[index]

    def fixed(self, values: Array, name: str = "constant") -> str:
        """Add an initializer and return its name."""
        taken = self._free_name(name)
        self._initializers.append(numpy_helper.from_array(np.asarray(values, order="C"), taken))
        return taken

    def node(self, op_type: str, inputs: Sequence[str], name: str = "value", **attributes: Any) -> str:
        """Draw a node with one output, and return the output's name."""
        return self._draw(op_type, inputs, [self._free_name(name)], attributes)[0]

    def nodes(self, op_type: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """Draw a node with `count` outputs, and return their names."""
        return self._draw(op_type, inputs, [self._free_name("part") for _ in range(count)], attributes)

    def put(self, index: int, op_type: str, inputs: Sequence[str], *, second: bool = False, **attributes: Any) -> None:
        """Draw the node that computes a tensor of the file, in one of the layouts."""
        of_file = self._names.get(index) or self._free_name(self.tensor(index).name or f"tensor_{index}")
        name = self._free_name(f"{of_file}_second") if second and index in self._names else of_file
        self._draw(op_type, inputs, [name], attributes)
        (self._second if second else self._last)[index] = name

    def bind(self, index: int, name: str) -> None:
        """Say that a drawn value, in the file's layout, is a tensor of the file."""
        self._last[index] = self._draw("Identity", [name], [self._names[index]], {})[0] if index in self._names else name

    def finished(self) -> onnx.ModelProto:
        """Return the model: inputs and outputs as the file declares them, and no node that nobody needs."""
        for index in self.flat.outputs:
            if self.is_constant(index):
                raise ModelError(self.place, f"output {self._names[index]}", "a value that depends on the inputs", "a constant")
            self.last(index)
        outputs = [self._value(index) for index in self.flat.outputs]
        graph = helper.make_graph(
            nodes=_needed(self._nodes, {value.name for value in outputs}),
            name="imported",
            inputs=[self._value(index) for index in self.flat.inputs],
            outputs=outputs,
        )
        read = {name for node in graph.node for name in node.input}
        graph.initializer.extend(tensor for tensor in self._initializers if tensor.name in read)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))

    def _value(self, index: int) -> onnx.ValueInfoProto:
        tensor = self.tensor(index)
        if tensor.datatype not in NUMPY_TYPES:
            raise ModelError(self.place, f"tensor {tensor.name}", f"one of {', '.join(NUMPY_TYPES)}", tensor.datatype)
        element = helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY_TYPES[tensor.datatype]))
        return helper.make_tensor_value_info(self._names[index], element, tensor.shape)

    def _transposed(self, name: str, permutation: tuple[int, ...], result: str) -> str:
        return self._draw("Transpose", [name], [result], {"perm": permutation})[0]

    def _draw(self, op_type: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]) -> list[str]:
        self._nodes.append(helper.make_node(op_type, list(inputs), outputs, name=f"{op_type}_{len(self._nodes)}", **attributes))
        return outputs

    def _free_name(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def _needed(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """Keep what leads to the wanted values."""
    wanted, kept = set(wanted), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]
