"""Runs a model in LiteRT or in the older TensorFlow Lite runtime, with the Edge TPU's delegate on a Coral."""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import dataclass
from importlib import metadata, util
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.runtimes.errors import CpuFallbackError, InferenceError, ModelUnloadableError, RuntimeMissingError, TensorMismatchError
from agent.runtimes.port import Array, Arrays, ModelSource
from contracts.affine import quantized, real
from contracts.tensors import NUMPY_DTYPES, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

EDGE_TPU, XNNPACK, CPU = "EdgeTPU", "XNNPACK", "CPU"
BEST_FIRST = (EDGE_TPU, XNNPACK, CPU)
EDGE_TPU_LIBRARY = "libedgetpu.so.1"
# The one operation that the Edge TPU compiler leaves where it took others away.
EDGE_TPU_OPERATION = "edgetpu-custom-op"
# What the interpreter calls an operator that stands for those a delegate took.
DELEGATE = "DELEGATE"
# Modules that hold the interpreter, and the distributions they come from, best first.
MODULES = {"ai_edge_litert.interpreter": "ai-edge-litert", "tflite_runtime.interpreter": "tflite-runtime"}


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies in the interpreter, and how its integers stand for real values; scale 0 means they do not."""

    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int


class LiteRuntime:
    """One interpreter; it is given one sample at a time."""

    name = "litert"

    def __init__(self, interpreter: Any, source: ModelSource, version: str, placement: dict[str, int]) -> None:
        self.version = version
        self.placement = placement
        self.provider = next((name for name in BEST_FIRST if name in placement), CPU)
        self.preferred_provider = EDGE_TPU if source.target == "coral" else XNNPACK
        # The driver opens an Edge TPU for one process at a time, on either bus.
        self.is_exclusive = self.provider == EDGE_TPU
        self.inputs: tuple[TensorSpec, ...] = source.artifact.inputs
        self.outputs: tuple[TensorSpec, ...] = source.artifact.outputs
        self._interpreter = interpreter
        self._input_tensors = _tensors(source, "inputs", self.inputs, interpreter.get_input_details())
        self._output_tensors = _tensors(source, "outputs", self.outputs, interpreter.get_output_details())

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one sample; raise InferenceError with the runtime's own words."""
        try:
            for name, tensor in self._input_tensors.items():
                self._interpreter.set_tensor(
                    tensor.index, quantized(inputs[name], tensor.dtype, tensor.scale, tensor.zero_point).reshape(tensor.shape)
                )
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise InferenceError(self.name, str(error)) from error
        return {spec.name: self._read(spec) for spec in self.outputs}

    def _read(self, spec: TensorSpec) -> Array:
        tensor = self._output_tensors[spec.name]
        values: Array = self._interpreter.get_tensor(tensor.index)
        if spec.datatype.startswith("FP") and tensor.dtype.kind != "f":
            values = real(values, tensor.scale, tensor.zero_point)
        return values.astype(NUMPY_DTYPES[spec.datatype], copy=False)


def load(source: ModelSource) -> LiteRuntime:
    """Build the interpreter; raise RuntimeMissingError, ModelUnloadableError, CpuFallbackError or TensorMismatchError."""
    library, distribution = _import_interpreter()
    delegates, why_none = _edge_tpu_delegates(library) if source.target == "coral" else ([], "")
    file = source.file
    if not delegates and source.cpu_file is not None:
        # A file that was compiled for the accelerator runs nowhere else; without it the CPU has the file that it was compiled from.
        if not source.runtime.allow_cpu_fallback:
            raise CpuFallbackError(str(file), EDGE_TPU, why_none)
        file = source.cpu_file
    try:
        interpreter = library.Interpreter(model_path=str(file), num_threads=source.threads, experimental_delegates=delegates)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelUnloadableError(str(file), distribution, str(error)) from error
    except SystemError as error:
        # tflite-runtime 2.14 can be imported beside numpy 2, and only then fails.
        raise RuntimeMissingError("litert", "coral", f"{distribution} that cannot work with numpy {np.__version__}") from error
    return LiteRuntime(interpreter, source, metadata.version(distribution), _placement(interpreter))


def _import_interpreter() -> tuple[ModuleType, str]:
    for module, distribution in MODULES.items():
        if util.find_spec(module.partition(".")[0]) is not None:
            return _imported(module, distribution), distribution
    raise RuntimeMissingError("litert", "litert", f"neither {' nor '.join(MODULES.values())}")


def _imported(module: str, distribution: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RuntimeMissingError("litert", "litert", f"{distribution} that does not import: {error}") from error


def _edge_tpu_delegates(library: ModuleType) -> tuple[list[Any], str]:
    """Return the Edge TPU's delegate, or none and why: its library or the device is missing."""
    try:
        # Looked for first: a delegate that fails to load its library raises once more while it is thrown away.
        ctypes.CDLL(EDGE_TPU_LIBRARY)
        return [library.load_delegate(EDGE_TPU_LIBRARY)], ""
    except (OSError, ValueError) as error:
        return [], str(error)


def _placement(interpreter: Any) -> dict[str, int]:
    """Count the model's operators by what runs them.

    No public call tells what a delegate took. In the interpreter's list the operators of the file come first, then those that stand for a
    delegate's share. Walking back from the outputs by the newest operator that makes each tensor meets what really runs; the others were
    taken. An operator that the Edge TPU's compiler made stands for all that it holds.
    """
    makers: dict[int, dict[str, Any]] = {}
    operators = interpreter._get_ops_details()
    for operator in operators:
        makers.update({int(tensor): operator for tensor in operator["outputs"]})
    waiting, met = [int(detail["index"]) for detail in interpreter.get_output_details()], set[int]()
    counts = {EDGE_TPU: 0, XNNPACK: 0, CPU: 0}
    while waiting:
        operator = makers.get(waiting.pop(), {"index": -1})
        if operator["index"] in {-1, *met}:
            continue
        met.add(operator["index"])
        waiting += [int(tensor) for tensor in operator["inputs"]]
        if operator["op_name"] not in (DELEGATE, EDGE_TPU_OPERATION):
            counts[CPU] += 1
    in_file = [operator["op_name"] for operator in operators if operator["op_name"] != DELEGATE]
    counts[EDGE_TPU] = in_file.count(EDGE_TPU_OPERATION)
    counts[XNNPACK] = len(in_file) - counts[CPU] - counts[EDGE_TPU]
    return {name: count for name, count in counts.items() if count}


def _tensors(source: ModelSource, side: str, specs: tuple[TensorSpec, ...], details: Iterable[Mapping[str, Any]]) -> dict[str, Tensor]:
    found = {str(detail["name"]): _tensor(detail) for detail in details}
    for spec in specs:
        if spec.name not in found or not spec.accepts_shape(found[spec.name].shape):
            shapes = {name: list(tensor.shape) for name, tensor in found.items()}
            raise TensorMismatchError(str(source.file), f"{side} {spec.name} {list(spec.shape)}", str(shapes))
    return {spec.name: found[spec.name] for spec in specs}


def _tensor(detail: Mapping[str, Any]) -> Tensor:
    scale, zero_point = detail["quantization"]
    shape = tuple(int(n) for n in detail["shape"])
    return Tensor(int(detail["index"]), shape, np.dtype(detail["dtype"]), float(scale), int(zero_point))
