"""Grows the float TFLite graph node by node, and puts tensors in the order that an operator asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.lower.tflite.errors import UnsupportedOpError
from compiler.lower.tflite.ir import NO_OPTIONS, Array, Constant, Floats, Graph, Kernel, Op, Options, Shape, Tensor, Whole, constant, index
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node, shapes_of
from compiler.lower.tflite.view import Order, View, as_is, only_moves_ones, permutation, reshaped
from compiler.quantize.plan import Activation, Plan, Weights, weights_of

# Types of whole numbers that a file can take, by numpy's names.
WHOLE_TYPES: dict[int, str] = {onnx.TensorProto.INT32: "int32", onnx.TensorProto.INT64: "int64", onnx.TensorProto.UINT8: "uint8"}


class Build:
    """The graph so far. `at` is the node that is being lowered: its name goes to every operator that is emitted."""

    def __init__(self, model: onnx.ModelProto, plan: Plan) -> None:
        self.at = ""
        self.ops: list[Op] = []
        self._plan = plan
        self._shapes = shapes_of(model)
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._views: dict[str, View] = {}
        self._wholes: dict[str, Whole] = {}
        self._reshaped: dict[Tensor, Tensor] = {}
        self._arranged: dict[tuple[Tensor, Order], Tensor] = {}
        self._inputs = tuple(self._input(value) for value in model.graph.input if value.name not in self._constants)
        self._output_names = tuple(value.name for value in model.graph.output)

    def graph(self) -> Graph:
        """Return what was built, its outputs in the model's own order of axes."""
        outputs = []
        for name in self._output_names:
            self.at = f"output {name}"
            view = self.view(name)
            outputs.append((name, self.arranged(view, as_is(len(view.order)))))
        return Graph(self._inputs, tuple(outputs), tuple(self.ops))

    def views(self) -> dict[str, View]:
        """Return where each computed tensor of the model lies."""
        return {name: view for name, view in self._views.items() if not isinstance(view.tensor, Constant)}

    def known(self, name: str) -> Array | None:
        """Return a tensor's numbers where they are constant."""
        return self._constants.get(name)

    def kernel(self, node: Node, name: str, axis: int) -> Kernel:
        """Return constant weights with output channels along `axis`, as ONNX lays them; refuse others."""
        values = self._constants.get(name)
        if values is None:
            raise node.refusal("its weights are computed, not constant")
        floats = values.astype(np.float32)
        planned = self._plan.weights.get(name) or weights_of(floats, axis)
        if planned.axis != axis and self._plan.precisions.get(node.name) == "float":
            planned = weights_of(floats, axis)  # two layers share the numbers, but not their output channels
        if planned.axis != axis:
            raise node.refusal(f"its weights are quantized along axis {planned.axis}, not {axis}", "plan them along their output channels")
        return kernel_of(name, floats, planned)

    def bias(self, name: str, count: int) -> Constant:
        """Return a bias, zeros where there is none."""
        values = self._constants[name] if name else np.zeros(count)
        return constant(name or f"{self.at}:bias", np.broadcast_to(values.ravel().astype(np.float32), (count,)))

    def shape(self, node: Node, name: str) -> Shape:
        """Return the static shape of one of a node's tensors."""
        if name in self._shapes:
            return self._shapes[name]
        if name in self._constants:
            return self._constants[name].shape
        raise node.refusal(f"the shape of {name} is not static", "give every input a static shape")

    def raw_view(self, name: str) -> View:
        """Return where a tensor lies, which may be folded."""
        if name in self._wholes:
            given = f"expected float32 for arithmetic, found the whole numbers {name}"
            raise UnsupportedOpError(self.at, "input", given, "cast them to float32 in the model, or look them up by a Gather")
        if name not in self._views:
            self._views[name] = self._constant_view(name)
        return self._views[name]

    def view(self, name: str) -> View:
        """Return where a tensor lies, unfolded."""
        view = self.raw_view(name)
        if view.fold is None:
            return view
        rank = len(view.fold.shape)
        memory = tuple(view.fold.shape[axis] for axis in view.fold.order)
        unfolded = View(self.emit_reshape(view.tensor, memory), view.fold.order)
        plain = View(self.emit_reshape(self.arranged(unfolded, as_is(rank)), view.tensor.shape), as_is(len(view.order)))
        self._views[name] = plain
        return plain

    def whole(self, name: str) -> Whole | None:
        """Return whole numbers that come into the model, None for what else a name stands for."""
        return self._wholes.get(name)

    def bind_whole(self, name: str, numbers: Whole) -> None:
        """Say that a tensor of the model holds whole numbers."""
        self._wholes[name] = numbers

    def meaning(self, name: str) -> Activation | None:
        """Return what is known of a tensor's values."""
        return self._plan.activations.get(name)

    def bind(self, name: str, view: View) -> None:
        """Say where a tensor of the model lies."""
        self._views[name] = view

    def finish(self, node: Node, kind: Kind, inputs: Sequence[Tensor], order: Order, options: Options = NO_OPTIONS) -> None:
        """Emit the operator whose result is the node's only output, lying in `order`."""
        name = node.outputs[0]
        shape = self.shape(node, name)
        tensor = self.emit(kind, inputs, tuple(shape[axis] for axis in order), name, options)
        self.bind(name, View(tensor, order))

    def emit(
        self, kind: Kind, inputs: Sequence[Tensor], shape: Shape, meaning: str | Activation | None, options: Options = NO_OPTIONS
    ) -> Tensor:
        """Emit one operator with one output; `meaning` is the model's tensor that it stands for, or what is known of its values."""
        return self.emit_all(kind, inputs, [(shape, meaning)], options)[0]

    def emit_all(
        self,
        kind: Kind,
        inputs: Sequence[Tensor],
        outputs: Sequence[tuple[Shape, str | Activation | None]],
        options: Options = NO_OPTIONS,
    ) -> tuple[Tensor, ...]:
        """Emit one operator with an output for each shape and meaning."""
        made = tuple(self._tensor(kind, shape, meaning) for shape, meaning in outputs)
        self.ops.append(Op(kind, tuple(inputs), made, options, self.at))
        return made

    def emit_whole(
        self, kind: Kind, inputs: Sequence[Tensor], shape: Shape, element: str, name: str, options: Options = NO_OPTIONS
    ) -> None:
        """Emit the operator whose result, a tensor of the model, is no real number."""
        made = Whole(name, shape, None, element)
        self.ops.append(Op(kind, tuple(inputs), (made,), options, self.at))
        self._wholes[name] = made

    def emit_reshape(self, tensor: Tensor, shape: Shape) -> Tensor:
        """Return the same elements in another shape."""
        if isinstance(tensor, Constant):
            return constant(tensor.name, tensor.values.reshape(shape))
        source = self.before_reshape(tensor)
        for same in (tensor, source):
            if same.shape == shape:
                return same
        made = self.emit(Kind.RESHAPE, [source, index("shape", shape)], shape, source.span)
        self._reshaped[made] = source
        return made

    def before_reshape(self, tensor: Tensor) -> Tensor:
        """Return the tensor that was reshaped to this one, or this one; what treats each element alike may as well be done before."""
        return self._reshaped.get(tensor, tensor)

    def arranged(self, view: View, order: Order) -> Tensor:
        """Return a tensor whose axes lie in `order`: the same one where it does already."""
        assert view.fold is None
        key = (view.tensor, permutation(view.order, order))
        if key not in self._arranged:
            self._arranged[key] = self._permuted(*key)
        return self._arranged[key]

    def reshaped(self, view: View, shape: Shape) -> View | None:
        """Return the tensor as ONNX reshapes it, if that needs no transpose."""
        found = reshaped(view.shape, view.order, shape)
        if found is None:
            return None
        memory, order = found
        return View(self.emit_reshape(view.tensor, memory), order)

    def _tensor(self, kind: Kind, shape: Shape, meaning: str | Activation | None) -> Tensor:
        if isinstance(meaning, str):
            return Tensor(meaning, shape, self._plan.activations.get(meaning))
        return Tensor(f"{self.at}:{kind.name.lower()}", shape, meaning)

    def _permuted(self, tensor: Tensor, moves: tuple[int, ...]) -> Tensor:
        shape = tuple(tensor.shape[axis] for axis in moves)
        if moves == as_is(len(moves)):
            return tensor
        if isinstance(tensor, Constant):
            return constant(tensor.name, tensor.values.transpose(moves))
        if only_moves_ones(tensor.shape, moves):
            return self.emit_reshape(tensor, shape)
        return self.emit(Kind.TRANSPOSE, [tensor, index("permutation", moves)], shape, tensor.span)

    def _constant_view(self, name: str) -> View:
        values: Floats = self._constants[name].astype(np.float32)
        return View(constant(name, values), as_is(values.ndim))

    def _input(self, value: onnx.ValueInfoProto) -> Tensor:
        name, kind = value.name, value.type.tensor_type.elem_type
        if kind in WHOLE_TYPES and name in self._shapes:
            self._wholes[name] = Whole(name, self._shapes[name], None, WHOLE_TYPES[kind])
            return self._wholes[name]
        if kind != onnx.TensorProto.FLOAT or name not in self._shapes:
            found = onnx.TensorProto.DataType.Name(kind)
            raise UnsupportedOpError(
                name, "input", f"expected float32, int32, int64 or uint8 and a static shape, found {found}", "give it both"
            )
        tensor = Tensor(name, self._shapes[name], self._plan.activations.get(name))
        self._views[name] = View(tensor, as_is(len(tensor.shape)))
        return tensor


def kernel_of(name: str, values: Floats, planned: Weights) -> Kernel:
    """Return weights with the integers that the plan makes of them."""
    scales = np.asarray(planned.scales, np.float32)
    return Kernel(name, values.shape, None, values, planned.integers(values), scales, planned.axis)
