"""Reads which runtimes are installed, and their versions, without importing any: the control process asks."""

from __future__ import annotations

from importlib import metadata, util

from contracts.manifest import Runtime

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
            version = version_of(distribution)
            if runtime not in found and version is not None and util.find_spec(module) is not None:
                found[runtime] = version
    return found


def version_of(distribution: str) -> str | None:
    """Return an installed distribution's version, None for one that is missing or just being replaced."""
    try:
        return metadata.version(distribution) or None
    except (metadata.PackageNotFoundError, KeyError, TypeError, OSError):
        # For a moment a distribution that is being replaced has a folder and no metadata in it, for which the library has no error.
        return None
