"""Names the ground that every step stands on: this program's own source, the libraries at work, and the processor that reckons."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import compiler
import contracts
from compiler.cache.key import key_of
from contracts.codec import sha256_of

# Whatever of it changes, everything is done again: nobody can forget to raise a version.
PACKAGES = (compiler, contracts)
SOURCES = frozenset({".py", ".toml"})
# Libraries whose version can decide a number; those that are not installed decide nothing.
LIBRARIES = (
    "ai-edge-litert",
    "flatbuffers",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnxslim",
    "opencv-python-headless",
    "protobuf",
    "pydantic",
    "sympy",
    "tensorflow-cpu",
    "torch",
)
PROCESSORS = Path("/proc/cpuinfo")
# x86-64's and Arm's words for what a processor is and can do.
ABILITIES = frozenset({"model name", "flags", "Features", "CPU implementer", "CPU part"})


def ground() -> str:
    """Return the digest of all that decides results besides what a step is given."""
    return key_of("ground", "", {"source": _source(), "libraries": dict(_libraries()), "python": sys.version, "processor": _processor()})


def _source() -> str:
    folders = [(package.__name__, Path(package.__file__ or "").parent) for package in PACKAGES]
    files = [(name, folder, file) for name, folder in folders for file in folder.rglob("*") if file.suffix in SOURCES]
    lines = [f"{sha256_of(file.read_bytes())}  {name}/{file.relative_to(folder).as_posix()}" for name, folder, file in files]
    return sha256_of("\n".join(sorted(lines)).encode())


def _libraries() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


def _processor() -> str:
    """Return what the kernels choose themselves by: another processor may round elsewhere, and is timed anew."""
    try:
        first = PROCESSORS.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join([platform.machine(), *(line for line in first.splitlines() if line.partition(":")[0].strip() in ABILITIES)])
