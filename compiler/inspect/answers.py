"""Computes one model's answers to given or random samples, in a process of its own, and how long they take."""

from __future__ import annotations

import io
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.errors import ModelError
from compiler.importers.shapes import Shapes, shapes_of
from compiler.inspect.artifacts import Artifact
from compiler.inspect.engines import Array, Arrays, Engine, Plug, libraries_for, load_engine
from compiler.isolation import run_isolated

TIMEOUT_S = 600.0
# As importers draw them: the same image with its channels second and last.
TO_LAST, TO_SECOND = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True)
class Ends:
    """The shapes of a model's inputs by name, in its order, and samples that fill what they can take: [n, ...] each."""

    inputs: dict[str, tuple[int, ...]]
    samples: Arrays
    is_integer: bool


@dataclass(frozen=True)
class Answers:
    """Real outputs [n, ...] by name, in the model's order, and the median latency of one inference on one thread."""

    runtime: str
    outputs: Arrays
    p50_ms: float


def ends_of(artifact: Artifact, shapes: Shapes, count: int, seed: int) -> Ends:
    """Return a model's inputs, and seeded random samples for them; raise ModelError."""
    raw = run_isolated("compiler.inspect.answers:drawn", _request(artifact, shapes, count=count, seed=seed), str(artifact.file), TIMEOUT_S)
    head, samples = _unpacked(raw)
    return Ends({name: tuple(shape) for name, shape in head["inputs"]}, samples, bool(head["is_integer"]))


def answers_of(artifact: Artifact, shapes: Shapes, samples: Arrays) -> Answers:
    """Return a model's answers to samples, whose names and shapes are its own or fit in its order; raise ModelError."""
    with tempfile.TemporaryDirectory(prefix="fieldfare-") as folder:
        place = Path(folder) / "samples.npz"
        place.write_bytes(_packed({"names": list(samples)}, list(samples.values())))
        request = _request(artifact, shapes, samples=str(place))
        raw = run_isolated("compiler.inspect.answers:computed", request, str(artifact.file), TIMEOUT_S)
    head, outputs = _unpacked(raw)
    return Answers(head["runtime"], outputs, head["p50_ms"])


def drawn(request: Mapping[str, Any]) -> bytes:
    """Answer a request of ends_of."""
    engine = _engine(request)
    generator = np.random.default_rng(request["seed"])
    samples = [np.concatenate([plug.random(generator) for _ in range(request["count"])]) for plug in engine.inputs]
    head = {
        "inputs": [[plug.name, list(plug.shape)] for plug in engine.inputs],
        "names": [plug.name for plug in engine.inputs],
        "is_integer": any(plug.scale for plug in engine.inputs),
    }
    return _packed(head, samples)


def computed(request: Mapping[str, Any]) -> bytes:
    """Answer a request of answers_of."""
    engine = _engine(request)
    _, samples = _unpacked(Path(request["samples"]).read_bytes())
    feeds = _feeds(engine, samples, request["file"])
    engine.run(feeds[0])  # the first is slower than all others
    laps, results = [], []
    for feed in feeds:
        begin = time.perf_counter()
        outputs = engine.run(feed)
        laps.append((time.perf_counter() - begin) * 1e3)
        # Some runtimes hand out views of their own memory.
        results.append([plug.real(values).copy() for plug, values in zip(engine.outputs, outputs, strict=True)])
    stacked = [np.stack(parts) for parts in zip(*results, strict=True)]
    head = {"names": [plug.name for plug in engine.outputs], "runtime": engine.version, "p50_ms": float(np.median(laps))}
    return _packed(head, stacked)


def _feeds(engine: Engine, samples: Arrays, place: str) -> list[Arrays]:
    if len(samples) != len(engine.inputs):
        raise ModelError(place, "inputs", f"{len(samples)} ({', '.join(samples)})", f"{len(engine.inputs)}")
    fitted = []
    for position, plug in enumerate(engine.inputs):
        values = samples[plug.name] if plug.name in samples else list(samples.values())[position]
        fitted.append(plug.stored(_fitted(values, plug, place)))
    return [{plug.name: values[n : n + 1] for plug, values in zip(engine.inputs, fitted, strict=True)} for n in range(len(fitted[0]))]


def _fitted(values: Array, plug: Plug, place: str) -> Array:
    """Return samples [n, ...] in the input's shape, but for axes of length one; an image may have its channels elsewhere."""
    wanted, found = plug.shape[1:], values.shape[1:]
    if found != wanted and len(wanted) == 3 == len(found):
        for order in (TO_LAST, TO_SECOND):
            if tuple(found[axis - 1] for axis in order[1:]) == wanted:
                return np.ascontiguousarray(values.transpose(order))
    if tuple(n for n in found if n != 1) != tuple(n for n in wanted if n != 1):
        raise ModelError(place, f"input {plug.name}", f"samples of shape {list(wanted)}", str(list(found)))
    return values.reshape(len(values), *wanted)


def _engine(request: Mapping[str, Any]) -> Engine:
    return load_engine(request["library"], Path(request["file"]), 1, request["options"], shapes_of(request))


def _request(artifact: Artifact, shapes: Shapes, **more: Any) -> dict[str, Any]:
    libraries = libraries_for(artifact.runtime)
    if not libraries:
        raise ModelError(str(artifact.file), "runtime", "a runtime for it: pip install 'fieldfare[litert]'", "none installed")
    given = {name: list(shape) for name, shape in shapes.items()}
    return {"file": str(artifact.file), "library": libraries[0], "options": dict(artifact.session_options), "shapes": given, **more}


def _packed(head: dict[str, Any], arrays: list[Array]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, *arrays)
    return json.dumps(head).encode() + b"\n" + buffer.getvalue()


def _unpacked(raw: bytes) -> tuple[dict[str, Any], Arrays]:
    line, _, archive = raw.partition(b"\n")
    head = json.loads(line)
    with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
        return head, {name: arrays[f"arr_{position}"] for position, name in enumerate(head["names"])}
