"""Sets two models' answers side by side: how far they lie apart, and what the second costs against the first."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel

from compiler.errors import ModelError
from compiler.inspect.answers import Answers
from compiler.inspect.artifacts import Artifact
from compiler.inspect.distance import Distance, distance
from compiler.inspect.engines import Array, Arrays


class Side(BaseModel, frozen=True, extra="forbid"):
    """One of the two models; its latency is the median of one inference on one thread of this host."""

    file: str
    bytes: int
    runtime: str
    p50_ms: float


class Comparison(BaseModel, frozen=True, extra="forbid"):
    """The document; ratios are the second model's share of the first's."""

    schema_version: Literal[1] = 1
    first: Side
    second: Side
    samples: int
    # Where the samples are from; null for seeded random ones.
    data: str | None
    seed: int
    size_ratio: float
    latency_ratio: float
    outputs: tuple[Distance, ...]


def compared(pair: tuple[Artifact, Artifact], answers: list[Answers], data: Path | None, seed: int) -> Comparison:
    """Return the document; raise ModelError when the two have not the same outputs."""
    sides = [
        Side(file=str(artifact.file), bytes=artifact.file.stat().st_size, runtime=answer.runtime, p50_ms=answer.p50_ms)
        for artifact, answer in zip(pair, answers, strict=True)
    ]
    return Comparison(
        first=sides[0],
        second=sides[1],
        samples=len(next(iter(answers[0].outputs.values()))),
        data=None if data is None else str(data),
        seed=seed,
        size_ratio=sides[1].bytes / sides[0].bytes,
        latency_ratio=sides[1].p50_ms / sides[0].p50_ms,
        outputs=_distances(answers[0].outputs, answers[1].outputs, sides[1].file),
    )


def _distances(first: Arrays, second: Arrays, place: str) -> tuple[Distance, ...]:
    """Pair outputs by name, or by their order where the names differ."""
    if len(first) != len(second):
        raise ModelError(place, "outputs", f"{len(first)} ({', '.join(first)})", f"{len(second)} ({', '.join(second)})")
    has_same_names = set(first) == set(second)
    found = []
    for (name, values), by_order in zip(first.items(), second, strict=True):
        other = name if has_same_names else by_order
        found.append(distance(name, other, values, _laid_out(second[other], values.shape, place, other)))
    return tuple(found)


def _laid_out(values: Array, wanted: tuple[int, ...], place: str, name: str) -> Array:
    """Return an output [n, 1, ...] in the other model's layout, for images may have their channels elsewhere."""
    if values.shape == wanted:
        return values
    for order in ((0, 1, 3, 4, 2), (0, 1, 4, 2, 3)):
        if values.ndim == 5 and tuple(values.shape[axis] for axis in order) == wanted:
            return np.transpose(values, order)
    if tuple(n for n in values.shape[1:] if n != 1) != tuple(n for n in wanted[1:] if n != 1):
        raise ModelError(place, f"output {name}", f"shape {list(wanted[1:])}", str(list(values.shape[1:])))
    return values.reshape(wanted)
