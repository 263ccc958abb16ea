"""Decides which file loads an artifact, by the runtime its manifest names."""

from __future__ import annotations

from collections.abc import Callable

from agent.runtimes import litert, onnx
from agent.runtimes import port as runtimes
from contracts import names

LOADERS: dict[names.Runtime, Callable[[runtimes.ModelSource], runtimes.Runtime]] = {"onnx": onnx.load, "litert": litert.load}
