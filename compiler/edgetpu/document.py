"""The oracle's prediction as a part of documents, and in sentences for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from compiler.edgetpu.case import Where
from compiler.edgetpu.memory import SRAM_BYTES
from compiler.edgetpu.oracle import Placed, Prediction, predict
from compiler.importers.tflite.flatbuffer import FlatModel
from compiler.package.section import Section
from compiler.package.words import size

PLACES: dict[Where, str] = {"tpu": "Edge TPU", "cpu": "CPU", "unknown": "unknown"}


class EdgeTpuOperator(Section):
    """Where one operator would run, why, and what would say the same where it maps; a prediction, never a measurement."""

    operator: str
    name: str
    where: Where
    reason: str
    rewrite: str | None = None


class EdgeTpuMemory(Section):
    """Bytes in the accelerator's memory, all but the parameters estimated; what is not cached is streamed for every inference."""

    executable: int
    activations: int
    parameters: int
    cached: int
    streamed: int
    # The layer at which streaming begins.
    first_streamed: str | None = None


class EdgeTpuPrediction(Section):
    """Every operator of the int8 file in order."""

    operators: tuple[EdgeTpuOperator, ...]
    memory: EdgeTpuMemory
    # The oldest Edge TPU runtime that has all the operators.
    runtime_version: int

    def count(self, where: Where) -> int:
        """Return how many operators run there."""
        return sum(one.where == where for one in self.operators)

    def kinds(self, *where: Where) -> dict[str, int]:
        """Return how many operators of each kind run there."""
        return dict(sorted(Counter(one.operator for one in self.operators if one.where in where).items()))

    def exceptions(self) -> list[tuple[EdgeTpuOperator, int]]:
        """Return what is not expected to map, alike ones once with their number, in the file's order."""
        alike: dict[tuple[str, str, str], list[EdgeTpuOperator]] = {}
        for one in self.operators:
            if one.where != "tpu":
                alike.setdefault((one.operator, one.where, one.reason), []).append(one)
        return [(ones[0], len(ones)) for ones in alike.values()]

    def summary(self) -> str:
        """Say the prediction in one sentence."""
        unknown = f", of {self.count('unknown')} it is not known" if self.count("unknown") else ""
        return f"{self.count('tpu')} of {len(self.operators)} operators should run on the Edge TPU, {self.count('cpu')} on the CPU{unknown}"

    def budget(self) -> str:
        """Say how the memory is used."""
        memory = self.memory
        parts = f"executable {size(memory.executable)}, activations {size(memory.activations)}, parameters {size(memory.parameters)}"
        if not memory.streamed:
            return f"about {size(memory.executable + memory.activations + memory.cached)} of {size(SRAM_BYTES)}: {parts}"
        streamed = f"{size(memory.streamed)} of the parameters, from {memory.first_streamed} on, are streamed for every inference"
        return f"more than its {size(SRAM_BYTES)}: {parts}; {streamed}"


def prediction_of(model: FlatModel) -> EdgeTpuPrediction:
    """Return what the oracle says of a file, as a document."""
    return documented(predict(model))


def documented(prediction: Prediction) -> EdgeTpuPrediction:
    """Write a prediction down."""
    memory = prediction.memory
    return EdgeTpuPrediction(
        operators=tuple(_operator(placed) for placed in prediction.placed),
        memory=EdgeTpuMemory(
            executable=memory.executable,
            activations=memory.activations,
            parameters=memory.parameters,
            cached=memory.cached,
            streamed=memory.streamed,
            first_streamed=memory.first_streamed,
        ),
        runtime_version=prediction.runtime_version,
    )


def sentences(prediction: EdgeTpuPrediction, limit: int = 8) -> Iterator[str]:
    """Yield the prediction for a terminal: the numbers, the memory, and the first exceptions with their reasons."""
    yield f"{prediction.summary()}; a prediction from what is published"
    yield f"Edge TPU memory: {prediction.budget()}"
    exceptions = prediction.exceptions()
    for one, count in exceptions[:limit]:
        times = f" (and {count - 1} more)" if count > 1 else ""
        rewrite = f"; instead: {one.rewrite}" if one.rewrite else ""
        yield f"{PLACES[one.where]}: {one.operator} {one.name}{times}: {one.reason}{rewrite}"
    if len(exceptions) > limit:
        yield f"and {len(exceptions) - limit} more reasons, in the JSON document"


def _operator(placed: Placed) -> EdgeTpuOperator:
    verdict = placed.verdict
    return EdgeTpuOperator(
        operator=placed.case.kind, name=placed.case.name, where=verdict.where, reason=verdict.reason, rewrite=verdict.rewrite
    )
