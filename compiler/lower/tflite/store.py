"""Decides how each number of the graph is stored, and puts QUANTIZE and DEQUANTIZE where neighbours disagree."""

from __future__ import annotations

from dataclasses import replace

from compiler.lower.tflite.errors import UnplannedTensorError, UnsupportedOpError
from compiler.lower.tflite.form import TfliteForm
from compiler.lower.tflite.integers import INT8, INT16, Width, floats, weights_alone, weights_and_bias
from compiler.lower.tflite.ir import Constant, Graph, Index, Kernel, Op, Options, Tensor, Whole, index
from compiler.lower.tflite.islands import islands, unholdable
from compiler.lower.tflite.kinds import FACTS, Kind, Rule
from compiler.lower.tflite.stored import Element, Params, Stored, StoredGraph, StoredOp
from compiler.quantize.plan import Precision

WEIGHTED = {Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.FULLY_CONNECTED, Kind.TRANSPOSE_CONV}
DEQUANTIZE_VERSIONS = {Element.INT8: 2, Element.INT16: 3, Element.FLOAT16: 3}
WHOLE = frozenset({Element.INT32, Element.INT64, Element.UINT8, Element.BOOL})
FLOAT_ADVICE = "compile for a target that also computes in float, or end the model before it"


class Store:
    """The file's graph so far. Every tensor has one `home`: how its producer stores it; readers who want it otherwise get a conversion."""

    def __init__(self, form: TfliteForm, precisions: dict[str, Precision]) -> None:
        self._form = form
        self._precisions = precisions
        self._home: dict[Tensor, Stored] = {}
        self._converted: dict[tuple[Stored, Element, Params | None], Stored] = {}
        self._ops: list[StoredOp] = []

    def store(self, graph: Graph) -> StoredGraph:
        """Return the whole graph as it will be written."""
        inputs = tuple(self._input(tensor) for tensor in graph.inputs)
        floats_among = islands(graph, self._width) if self._form.has_islands else frozenset()
        beyond = None if self._form.has_islands else unholdable(graph, self._width)
        if beyond is not None:
            raise UnsupportedOpError(
                beyond.node, beyond.kind.name, "numbers too large to be integers beside others, as of a mask", FLOAT_ADVICE
            )
        for op in graph.ops:
            width = None if op in floats_among or isinstance(op.outputs[0], Whole) else self._width(op)
            if width is None:
                self._float_op(op)
            else:
                self._integer_op(op, width)
        outputs: list[tuple[str, Stored]] = []
        taken = set(inputs)
        for name, tensor in graph.outputs:
            output = self._output(name, tensor)
            if output in taken:  # an output of the file must be a tensor of its own
                output = self._copy(output)
            taken.add(output)
            outputs.append((name, output))
        return StoredGraph(inputs, tuple(outputs), tuple(self._ops))

    def home(self, tensor: Tensor) -> Stored | None:
        """Return how a tensor of the stored graph is kept; None for one that was fused away."""
        return self._home.get(tensor)

    def _default_width(self) -> Width | None:
        return {"int8": INT8, "int16": INT16}.get(self._form.precision)

    def _width(self, op: Op) -> Width | None:
        """Return which integers an operator computes with, None for floats."""
        default = self._default_width()
        planned = self._precisions.get(op.node)
        if default is None or planned is None or (planned == "int8" and default is INT16):
            return default
        return {"int8": INT8, "int16": INT16}.get(planned)

    def _input(self, tensor: Tensor) -> Stored:
        width = self._default_width() if self._form.io == "int8" else None
        if isinstance(tensor, Whole):
            stored = Stored(tensor.name, tensor.shape, Element(tensor.element))
        elif width is None:
            stored = Stored(tensor.name, tensor.shape, Element.FLOAT32)
        else:
            stored = Stored(tensor.name, tensor.shape, width.element, self._planned(tensor, width, "input"))
        self._home[tensor] = stored
        return stored

    def _output(self, name: str, tensor: Tensor) -> Stored:
        width = self._default_width() if self._form.io == "int8" else None
        if width is None:
            return self._as_float(tensor)
        return self._as_integers(tensor, width, None, f"output {name}")

    def _copy(self, stored: Stored) -> Stored:
        copy = replace(stored)
        self._emit(Kind.RESHAPE, 1, (stored, self._index(index("shape", stored.shape))), (copy,), {})
        return copy

    def _float_op(self, op: Op) -> None:
        inputs = tuple(self._float_input(op, tensor) for tensor in op.inputs)
        outputs = tuple(Stored(tensor.name, tensor.shape, _element(tensor)) for tensor in op.outputs)
        self._home.update(zip(op.outputs, outputs, strict=True))
        self._emit(op.kind, FACTS[op.kind].float_version, inputs, outputs, op.options)

    def _float_input(self, op: Op, tensor: Tensor) -> Stored:
        if isinstance(tensor, Kernel) and self._form.precision == "dynamic" and op.kind in WEIGHTED:
            return self._dequantized(weights_alone(tensor))
        if isinstance(tensor, Kernel) and self._form.precision == "float16":
            return self._dequantized(floats(tensor, Element.FLOAT16))
        return self._as_float(tensor)

    def _integer_op(self, op: Op, width: Width) -> None:
        facts = FACTS[op.kind]
        version = width.version(facts)
        if facts.rule is Rule.FLOAT or version is None:
            raise UnsupportedOpError(op.node, op.kind.name, f"TFLite has no {width.element.value} form of it", FLOAT_ADVICE)
        if op.kind in WEIGHTED:
            inputs = self._weighted_inputs(op, width)
        elif facts.rule is Rule.TIED:
            target = self._planned(op.outputs[0], width, op.node)
            inputs = tuple(self._as_integers(tensor, width, target, op.node) for tensor in op.inputs)
        elif facts.rule is Rule.MOVES:
            inputs = self._moved_inputs(op, width)
        else:
            inputs = tuple(self._as_integers(tensor, width, None, op.node) for tensor in op.inputs)
        given = width.fixed(facts)
        if facts.rule is Rule.MOVES:
            given = next(stored.params for stored in inputs if stored.params is not None)
        outputs = tuple(self._made(tensor, width, given, op.node) for tensor in op.outputs)
        self._emit(op.kind, version, inputs, outputs, op.options)
        for tensor, stored in zip(op.outputs, outputs, strict=True):
            self._home[tensor] = self._as_planned(tensor, stored, width)

    def _weighted_inputs(self, op: Op, width: Width) -> tuple[Stored, ...]:
        """Return the image, the weights and the bias, in the operator's own sequence; the bias comes last."""
        *others, bias = op.inputs
        image = next(tensor for tensor in others if not isinstance(tensor, (Kernel, Index)))
        weights = next(tensor for tensor in others if isinstance(tensor, Kernel))
        assert isinstance(bias, Constant)
        stored_image = self._as_integers(image, width, None, op.node)
        assert stored_image.params is not None
        stored_weights, stored_bias = weights_and_bias(weights, bias, stored_image.params.scale, width)
        stored = {image: stored_image, weights: stored_weights, bias: stored_bias}
        return tuple(stored[tensor] if tensor in stored else self._index(tensor) for tensor in op.inputs)

    def _moved_inputs(self, op: Op, width: Width) -> tuple[Stored, ...]:
        """Return inputs of which the first that is no index holds the values that are moved; a filler is stored as they are."""
        params: Params | None = None
        inputs = []
        for tensor in op.inputs:
            stored = self._as_integers(tensor, width, params, op.node)
            params = params or stored.params
            inputs.append(stored)
        return tuple(inputs)

    def _made(self, tensor: Tensor, width: Width, given: Params | None, node: str) -> Stored:
        return Stored(tensor.name, tensor.shape, width.element, given or self._planned(tensor, width, node))

    def _as_planned(self, tensor: Tensor, stored: Stored, width: Width) -> Stored:
        """Return what an operator gives in the steps that the plan asks for, where the operator has steps of its own."""
        if tensor.span is None or stored.params is None:
            return stored
        planned = width.params(tensor.span)
        return stored if planned.is_near(stored.params) else self._quantized(stored, width, planned)

    def _planned(self, tensor: Tensor, width: Width, node: str) -> Params:
        if tensor.span is None and tensor.name.startswith(f"{node}:"):  # a step within one node, of which no plan knows
            raise UnsupportedOpError(node, "steps", f"what it computes on the way has no {width.element.value} form", FLOAT_ADVICE)
        if tensor.span is None:
            raise UnplannedTensorError(tensor.name, node)
        return width.params(tensor.span)

    def _as_integers(self, tensor: Tensor, width: Width, params: Params | None, node: str) -> Stored:
        """Return a tensor as integers: in steps of `params`, or in its own where None are asked for."""
        if isinstance(tensor, Index):
            return self._index(tensor)
        if isinstance(tensor, Constant):
            return width.stored(tensor, params)
        home = self._home[tensor]
        if isinstance(tensor, Whole):
            return home
        if home.element is width.element and home.params is not None and (params is None or params.is_near(home.params)):
            return home
        return self._quantized(home, width, params or self._planned(tensor, width, node))

    def _as_float(self, tensor: Tensor) -> Stored:
        if isinstance(tensor, Index):
            return self._index(tensor)
        if isinstance(tensor, Constant):
            return floats(tensor, Element.FLOAT32)
        return self._dequantized(self._home[tensor])

    def _index(self, tensor: Tensor) -> Stored:
        assert isinstance(tensor, Index)
        return Stored("", tensor.shape, Element.INT32, None, tensor.values)

    def _quantized(self, stored: Stored, width: Width, params: Params) -> Stored:
        # Version 2 is the first that takes integers.
        version = 1 if stored.element is Element.FLOAT32 else 2
        return self._conversion(Kind.QUANTIZE, version, stored, Stored(stored.name, stored.shape, width.element, params))

    def _dequantized(self, stored: Stored) -> Stored:
        if stored.element in {Element.FLOAT32, *WHOLE}:
            return stored
        version = DEQUANTIZE_VERSIONS[stored.element]
        return self._conversion(Kind.DEQUANTIZE, version, stored, Stored(stored.name, stored.shape, Element.FLOAT32))

    def _conversion(self, kind: Kind, version: int, source: Stored, target: Stored) -> Stored:
        key = (source, target.element, target.params)
        if key not in self._converted:
            self._converted[key] = target
            self._emit(kind, version, (source,), (target,), {})
        return self._converted[key]

    def _emit(self, kind: Kind, version: int, inputs: tuple[Stored, ...], outputs: tuple[Stored, ...], options: Options) -> None:
        self._ops.append(StoredOp(kind, version, inputs, outputs, options))


def _element(tensor: Tensor) -> Element:
    """Return the type of what an operator gives when it does not compute in integers."""
    return Element(tensor.element) if isinstance(tensor, Whole) else Element.FLOAT32
