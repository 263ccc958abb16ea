"""Measures latency and memory of one file in one library, in a process that has done nothing else."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from compiler.importers.shapes import Shapes, shapes_of
from compiler.inspect.artifacts import Artifact
from compiler.inspect.engines import import_library, load_engine
from compiler.isolation import run_isolated

WARM_UP_RUNS = 5
WARM_UP_S = 1.0
MAX_S = 30.0
TIMEOUT_S = 600.0
SEED = 0


class Timing(BaseModel, frozen=True, extra="forbid"):
    """One row: latency of single inferences, and resident memory."""

    artifact: str
    runtime: str
    threads: int
    runs: int
    p50_ms: float
    p95_ms: float
    min_ms: float
    load_ms: float
    # Peak of the whole process, and what of it came with the model: file, arena, packed weights.
    rss_bytes: int
    model_rss_bytes: int


class Host(BaseModel, frozen=True, extra="forbid"):
    """What the numbers hold for."""

    machine: str
    cpu: str
    cores: int
    python: str


def this_host() -> Host:
    """Describe this host."""
    return Host(machine=platform.machine(), cpu=_cpu(), cores=len(os.sched_getaffinity(0)), python=platform.python_version())


def time_artifact(artifact: Artifact, library: str, threads: int, runs: int, shapes: Shapes) -> Timing:
    """Measure an artifact in a process of its own; raise ModelError when the library does not run it."""
    request = {
        "artifact": artifact.label,
        "file": str(artifact.file),
        "library": library,
        "threads": threads,
        "runs": runs,
        "options": dict(artifact.session_options),
        "shapes": {name: list(shape) for name, shape in shapes.items()},
    }
    return Timing.model_validate_json(run_isolated("compiler.inspect.timing:timed", request, str(artifact.file), TIMEOUT_S))


def timed(request: Mapping[str, Any]) -> bytes:
    """Answer a request of time_artifact."""
    import_library(request["library"])
    before = _resident_bytes("VmRSS")
    begin = time.perf_counter()
    engine = load_engine(request["library"], Path(request["file"]), request["threads"], request["options"], shapes_of(request))
    load_ms = (time.perf_counter() - begin) * 1e3
    generator = np.random.default_rng(SEED)
    feed = {plug.name: plug.stored(plug.random(generator)) for plug in engine.inputs}
    begin = time.perf_counter()
    for _ in range(WARM_UP_RUNS):
        engine.run(feed)
        if time.perf_counter() - begin > WARM_UP_S:
            break
    laps: list[float] = []
    end = time.perf_counter() + MAX_S
    while len(laps) < request["runs"] and (not laps or time.perf_counter() < end):
        lap = time.perf_counter()
        engine.run(feed)
        laps.append((time.perf_counter() - lap) * 1e3)
    peak = _resident_bytes("VmHWM")
    p50, p95 = np.percentile(laps, [50, 95])
    return (
        Timing(
            artifact=request["artifact"],
            runtime=engine.version,
            threads=request["threads"],
            runs=len(laps),
            p50_ms=float(p50),
            p95_ms=float(p95),
            min_ms=min(laps),
            load_ms=load_ms,
            rss_bytes=peak,
            model_rss_bytes=max(peak - before, 0),
        )
        .model_dump_json()
        .encode()
    )


def _resident_bytes(field: str) -> int:
    """Read this process's memory. getrusage would not do: its peak begins with that of the process it was started from."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
