"""Writes small .tflite files, one operator or a few, with LiteRT's own schema; and asks LiteRT what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Array = npt.NDArray[Any]
_TYPES = {"float32": "FLOAT32", "float16": "FLOAT16", "int32": "INT32", "int64": "INT64", "int8": "INT8", "uint8": "UINT8", "bool": "BOOL"}


@dataclass
class Flat:
    """A file being written: tensors are known by the numbers that `value` and `constant` return."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[Any] = field(default_factory=list)
    signatures: list[Any] = field(default_factory=list)

    def value(
        self, name: str, shape: Sequence[int], dtype: str = "float32", *, free: Sequence[int] = (), scales: Sequence[float] = ()
    ) -> int:
        """Declare a tensor that is computed or given; `free` axes are open in the file."""
        return self._tensor(name, shape, dtype, free=free, scales=scales)

    def constant(self, values: Array, *, name: str = "", scales: Sequence[float] = (), zero_point: int = 0, axis: int = 0) -> int:
        """Store a constant, as integers that stand for real numbers where there are scales."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.buffers.append(buffer)
        place = self._tensor(name or f"constant_{len(self.tensors)}", values.shape, values.dtype.name, scales=scales, axis=axis)
        self.tensors[place].buffer = len(self.buffers) - 1
        if scales:
            self.tensors[place].quantization.zeroPoint = np.full(len(scales), zero_point, np.int64)
        return place

    def operate(self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **fields: Any) -> None:
        """Add an operator, with the options of the schema's table of that name."""
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode = fields.pop("custom_code", None)
        code.version = 2 if name == "BROADCAST_TO" else 1  # LiteRT knows no first version of this one
        self.codes.append(code)
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.codes) - 1, list(inputs), list(outputs)
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for field_name, value in fields.items():
                assert hasattr(operator.builtinOptions, field_name), field_name
                setattr(operator.builtinOptions, field_name, value)
        self.operators.append(operator)

    def sign(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Say by which names, and in which order, callers know inputs and outputs."""
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        for field_name, ends in (("inputs", inputs), ("outputs", outputs)):
            setattr(signature, field_name, [])
            for name, place in ends.items():
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = name, place
                getattr(signature, field_name).append(entry)
        self.signatures.append(signature)

    def write(self, file: Path, inputs: Sequence[int], outputs: Sequence[int], *, subgraphs: int = 1) -> Path:
        """Write the file."""
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, list(inputs), list(outputs)
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph] * subgraphs, self.buffers, self.codes
        model.signatureDefs = self.signatures
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        file.write_bytes(bytes(builder.Output()))
        return file

    def _tensor(
        self, name: str, shape: Sequence[int], dtype: str, *, free: Sequence[int] = (), scales: Sequence[float] = (), axis: int = 0
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), getattr(schema.TensorType, _TYPES[dtype])
        if free:
            tensor.shapeSignature = [-1 if place in free else size for place, size in enumerate(shape)]
        if scales:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.quantizedDimension = np.asarray(scales, np.float32), axis
            tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def lite_answers(file: Path, feed: Sequence[Array]) -> list[Array]:
    """Return what LiteRT's plain kernels make of inputs in the file's order, which are resized to what is given."""
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(file), num_threads=1, experimental_op_resolver_type=kernels)
    for detail, values in zip(interpreter.get_input_details(), feed, strict=True):
        interpreter.resize_tensor_input(detail["index"], values.shape)
    interpreter.allocate_tensors()
    for detail, values in zip(interpreter.get_input_details(), feed, strict=True):
        interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
