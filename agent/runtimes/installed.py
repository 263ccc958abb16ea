"""Reads which runtimes are installed, and their versions, without importing any: the control process asks."""

from __future__ import annotations

import re
from importlib import metadata, util

from contracts.names import Runtime

# Each runtime's module, and the distributions that may bring it, best first.
_SOURCES: dict[Runtime, tuple[tuple[str, str], ...]] = {
    "onnx": (("onnxruntime", "onnxruntime-gpu"), ("onnxruntime", "onnxruntime")),
    "litert": (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime")),
}


def installed_runtimes() -> dict[Runtime, str]:
    """Return each installed runtime's version; one that is only half removed does not count."""
    found: dict[Runtime, str] = {}
    for runtime, sources in _SOURCES.items():
        for module, distribution in sources:
            version = installed_version(distribution)
            if runtime not in found and version is not None and util.find_spec(module) is not None:
                found[runtime] = version
    return found


def installed_version(distribution: str) -> str | None:
    """Return a distribution's version, None when it is not installed."""
    try:
        installed = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    described = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""
    found = re.search(r"^Version: *(\S+)", described, re.MULTILINE)
    return found[1] if found else None
