"""Opens shipped bytes in the runtime that a device will use, and once more in another correct way to see how far the two lie apart."""

from __future__ import annotations

from compiler.evaluate.litert import LiteRunner
from compiler.evaluate.port import Engine
from compiler.evaluate.runner import Runner
from compiler.graph.interface import Interface
from compiler.targets import TargetProfile

# Keeps ONNX Runtime from fusing Q/DQ pairs into integer kernels: the same graph, computed in float.
IN_FLOAT = {"session.disable_quant_qdq": "1"}


def open_shipped(profile: TargetProfile, model: bytes, interface: Interface) -> Engine:
    """Return the target's own runtime with the target's own options; raise RunError or TargetError."""
    if profile.runtime == "litert":
        return LiteRunner(profile.name, model, interface)
    return Runner(profile.name, model, profile.session_options)


def open_otherwise(profile: TargetProfile, model: bytes, interface: Interface) -> Engine:
    """Return the same file in other kernels: where it ships in float, half precision is at least rounded after every node."""
    if profile.runtime == "litert":
        return LiteRunner(profile.name, model, interface, with_xnnpack=False)
    return Runner(profile.name, model, IN_FLOAT, as_written=True)
