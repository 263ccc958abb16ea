"""Runs a model's file in ONNX Runtime, LiteRT or the older TensorFlow Lite runtime, on real numbers whatever its inputs are."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from compiler.errors import ModelError
from compiler.importers.shapes import Shapes, check_all_used, static_shape
from contracts.names import Runtime

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = dict[str, Array]
# The distributions that run a kind of file, and the module that does it.
LIBRARIES: dict[Runtime, dict[str, str]] = {
    "onnx": {"onnxruntime": "onnxruntime"},
    "litert": {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"},
}
LOG_FATAL_ONLY = 4


@dataclass(frozen=True)
class Plug:
    """One input or output as people see it: real numbers; scale 0 means that its integers stand for nothing else."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0

    def stored(self, values: Array) -> Array:
        """Return what the file takes for real numbers: rounded to even and saturated."""
        if self.dtype.kind not in "iu" or not self.scale:
            return values.astype(self.dtype, copy=False)
        bounds = np.iinfo(self.dtype)
        return np.clip(np.rint(values / self.scale + self.zero_point), bounds.min, bounds.max).astype(self.dtype)

    def real(self, values: Array) -> Array:
        """Return the numbers that what the file gives stands for."""
        return (values.astype(np.float32) - self.zero_point) * np.float32(self.scale) if self.scale else values

    def random(self, generator: np.random.Generator) -> Array:
        """Return real numbers that fill what the file can take: of integers with a scale the whole range, of others 0 and 1."""
        if self.scale:
            bounds = np.iinfo(self.dtype)
            return self.real(generator.integers(bounds.min, bounds.max, size=self.shape, endpoint=True))
        if self.dtype.kind in "iub":
            return generator.integers(0, 1, size=self.shape, endpoint=True).astype(self.dtype)
        return generator.normal(size=self.shape).astype(self.dtype)


class Engine(Protocol):
    """A loaded model."""

    @property
    def version(self) -> str:
        """The library that runs it, and its version."""

    @property
    def inputs(self) -> Sequence[Plug]:
        """What it takes."""

    @property
    def outputs(self) -> Sequence[Plug]:
        """What it gives."""

    def run(self, feed: Arrays) -> list[Array]:
        """Compute the outputs, as the file stores them, from inputs as it stores them."""


def libraries_for(runtime: Runtime) -> list[str]:
    """Return the installed libraries that run a kind of file."""
    return [name for name, module in LIBRARIES[runtime].items() if util.find_spec(module.partition(".")[0]) is not None]


def import_library(library: str) -> Any:
    """Return a library's module, of which only what is asked for is imported, so that memory can be told apart."""
    modules = LIBRARIES["onnx"] | LIBRARIES["litert"]
    return importlib.import_module(modules[library])


def load_engine(library: str, file: Path, threads: int, options: Mapping[str, str], shapes: Shapes) -> Engine:
    """Load a file into a library; raise ModelError when it does not take it, or when it leaves a size open."""
    if library == "onnxruntime":
        return OnnxEngine(file, threads, options, shapes)
    return LiteEngine(library, file, threads, shapes)


class OnnxEngine:
    """One session on the CPU, set up as a device's worker does."""

    def __init__(self, file: Path, threads: int, options: Mapping[str, str], shapes: Shapes) -> None:
        onnxruntime = import_library("onnxruntime")
        session_options = onnxruntime.SessionOptions()
        session_options.intra_op_num_threads = threads
        session_options.inter_op_num_threads = 1
        session_options.log_severity_level = LOG_FATAL_ONLY
        for key, value in {"session.intra_op.allow_spinning": "0", **options}.items():
            session_options.add_session_config_entry(key, value)
        self.version = f"onnxruntime {onnxruntime.__version__}"
        self._place = str(file)
        try:
            self._session = onnxruntime.InferenceSession(str(file), session_options, providers=["CPUExecutionProvider"])
        except _onnx_faults() as error:
            raise ModelError(str(file), "content", f"a model that {self.version} loads", str(error)) from error
        unused = dict(shapes)
        self.inputs = [
            self._plug(found, static_shape(str(file), found.name, _sizes(found), unused)) for found in self._session.get_inputs()
        ]
        check_all_used(unused, str(file), [plug.name for plug in self.inputs])
        self.outputs = [self._plug(found, ()) for found in self._session.get_outputs()]

    def _plug(self, found: Any, shape: tuple[int, ...]) -> Plug:
        kind = str(found.type).removeprefix("tensor(").removesuffix(")")
        try:
            return Plug(found.name, np.dtype({"float": "float32", "double": "float64"}.get(kind, kind)), shape)
        except TypeError as error:
            raise ModelError(self._place, f"tensor {found.name}", "a tensor of numbers", str(found.type)) from error

    def run(self, feed: Arrays) -> list[Array]:
        """Compute the outputs; raise ModelError in the runtime's own words."""
        try:
            return [np.asarray(output) for output in self._session.run(None, feed)]
        except _onnx_faults() as error:
            raise ModelError(self._place, "graph", f"a model that {self.version} runs", str(error)) from error


class LiteEngine:
    """One interpreter of either library, with the kernels it chooses by itself."""

    def __init__(self, library: str, file: Path, threads: int, shapes: Shapes) -> None:
        self.version = f"{library} {metadata.version(library)}"
        self._place = str(file)
        try:
            self._interpreter = import_library(library).Interpreter(model_path=str(file), num_threads=threads)
            self._known_as = _signature_names(self._interpreter)
            self._resize(shapes)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError, ImportError, SystemError) as error:  # SystemError: tflite-runtime beside numpy 2
            raise ModelError(str(file), "content", f"a model that {self.version} loads", str(error)) from error
        self._input_details = self._named(self._interpreter.get_input_details())
        self._output_details = self._named(self._interpreter.get_output_details())
        self.inputs = [_lite_plug(name, found) for name, found in self._input_details.items()]
        self.outputs = [_lite_plug(name, found) for name, found in self._output_details.items()]

    def _resize(self, shapes: Shapes) -> None:
        unused, details = dict(shapes), self._named(self._interpreter.get_input_details())
        for name, found in details.items():
            declared = zip(found["shape"], found["shape_signature"], strict=True)
            dims: list[int | str | None] = [None if wanted < 0 else int(now) for now, wanted in declared]
            shape = static_shape(self._place, name, dims, unused)
            self._interpreter.resize_tensor_input(found["index"], shape)
        check_all_used(unused, self._place, list(details))

    def _named(self, details: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """Return inputs or outputs by the names, and in the order, that importing the file gives them."""
        found = {int(detail["index"]): detail for detail in details}
        order = [index for index in self._known_as if index in found] if set(found) <= self._known_as.keys() else list(found)
        return {self._known_as.get(index, str(found[index]["name"])): found[index] for index in order}

    def run(self, feed: Arrays) -> list[Array]:
        """Compute the outputs; raise ModelError in the runtime's own words."""
        try:
            for name, values in feed.items():
                self._interpreter.set_tensor(self._input_details[name]["index"], values)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(found["index"]) for found in self._output_details.values()]
        except (RuntimeError, ValueError) as error:
            raise ModelError(self._place, "graph", f"a model that {self.version} runs", str(error)) from error


def _signature_names(interpreter: Any) -> dict[int, str]:
    """Return the names that a file's one signature gives to tensors, by their numbers and in its order."""
    if len(interpreter.get_signature_list()) != 1:
        return {}
    runner = interpreter.get_signature_runner()
    ends = (runner.get_input_details(), runner.get_output_details())
    return {int(detail["index"]): str(name) for details in ends for name, detail in details.items()}


def _lite_plug(name: str, found: Mapping[str, Any]) -> Plug:
    scale, zero_point = found["quantization"]
    return Plug(name, np.dtype(found["dtype"]), tuple(int(n) for n in found["shape"]), float(scale), int(zero_point))


def _sizes(found: Any) -> list[int | str | None]:
    return [size if not isinstance(size, int) or size > 0 else None for size in found.shape]


def _onnx_faults() -> tuple[type[Exception], ...]:
    """Return ONNX Runtime's exceptions; they have no base class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        ValueError,
    )
