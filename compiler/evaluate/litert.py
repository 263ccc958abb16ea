"""Runs a model in LiteRT as a device does: integers in and out stand for real values by the rule that the agent follows too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import numpy as np

from compiler.errors import TargetError
from compiler.evaluate.greeting import take_greeting
from compiler.evaluate.port import Array, Feed, Outputs
from compiler.evaluate.runner import RunError
from compiler.graph.interface import Interface
from contracts.affine import quantized, real
from contracts.tensors import NUMPY_DTYPES, TensorSpec

DISTRIBUTION = "ai-edge-litert"


class LiteRunner:
    """One interpreter on one thread; `name` is what errors call it.

    Without XNNPACK it computes with the kernels that tflite-runtime 2.14 has for int8: a second correct execution of the same file,
    and with `keep_all` one whose every tensor can be read afterwards.
    """

    def __init__(self, name: str, model: bytes, interface: Interface, *, with_xnnpack: bool = True, keep_all: bool = False) -> None:
        try:
            from ai_edge_litert import interpreter as library
        except ImportError as error:
            raise TargetError(name, f"expected {DISTRIBUTION} to run it, found none: pip install 'fieldfare[litert]'") from error
        kernels = library.OpResolverType.AUTO if with_xnnpack else library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.version = f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}"
        self._name = name
        take_greeting(library)
        try:
            self._interpreter = library.Interpreter(
                model_content=model, num_threads=1, experimental_op_resolver_type=kernels, experimental_preserve_all_tensors=keep_all
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise RunError(name, str(error), self.version) from error
        self._inputs = _matched(name, interface.inputs, self._interpreter.get_input_details())
        self._outputs = _matched(name, interface.outputs, self._interpreter.get_output_details())
        self._details = self._interpreter.get_tensor_details() if keep_all else []

    @property
    def output_steps(self) -> dict[str, float]:
        """Return the distance of neighbouring values of each output that is integers in the file and real values outside."""
        steps = {spec.name: float(detail["quantization"][0]) for spec, detail in self._outputs if spec.datatype.startswith("FP")}
        return {name: step for name, step in steps.items() if step > 0}

    def infer(self, feed: Feed) -> Outputs:
        """Return every output by name, as real values."""
        try:
            for spec, detail in self._inputs:
                scale, zero_point = detail["quantization"]
                steps = quantized(feed[spec.name], np.dtype(detail["dtype"]), float(scale), int(zero_point))
                self._interpreter.set_tensor(detail["index"], steps.reshape(detail["shape"]))
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise RunError(self._name, str(error), self.version) from error
        return {spec.name: self._read(spec, detail) for spec, detail in self._outputs}

    def tensor(self, index: int) -> tuple[Array, float, int]:
        """Return one tensor of the file as it is stored after the last inference, its scale and its zero point; for `keep_all`."""
        scale, zero_point = self._details[index]["quantization"]
        values: Array = self._interpreter.get_tensor(index)
        return values, float(scale), int(zero_point)

    def _read(self, spec: TensorSpec, detail: Mapping[str, Any]) -> Any:
        values = self._interpreter.get_tensor(detail["index"])
        if spec.datatype.startswith("FP") and values.dtype.kind != "f":
            scale, zero_point = detail["quantization"]
            values = real(values, float(scale), int(zero_point))
        return values.astype(NUMPY_DTYPES[spec.datatype], copy=False).reshape(spec.shape)


def _matched(model: str, specs: tuple[TensorSpec, ...], details: Iterable[Mapping[str, Any]]) -> list[tuple[TensorSpec, Mapping[str, Any]]]:
    """Find the model's tensors in the file by name; raise TargetError when one is missing or has another shape."""
    found = {str(detail["name"]): detail for detail in details}
    for spec in specs:
        if spec.name not in found or not spec.accepts_shape(tuple(int(n) for n in found[spec.name]["shape"])):
            shapes = {name: [int(n) for n in detail["shape"]] for name, detail in found.items()}
            raise TargetError(model, f"expected a tensor {spec.name} of shape {list(spec.shape)}, found {shapes}")
    return [(spec, found[spec.name]) for spec in specs]
