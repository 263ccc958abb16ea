"""Estimates what an Edge TPU keeps in its memory, and what it must stream from the host for every inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from compiler.edgetpu.case import Case
from compiler.importers.tflite.flatbuffer import Tensor

# Shared by the executable, the activations and the cached parameters: coral.ai/docs/edgetpu/compiler, "Parameter data caching".
SRAM_BYTES = 8 << 20
# By how much four published models grew when they were compiled (59, 126, 276 and 904 kB for 3, 6, 31 and 82 operators), as a line.
EXECUTABLE_BYTES, EXECUTABLE_BYTES_PER_OPERATOR = 40_000, 10_000


@dataclass(frozen=True)
class Memory:
    """Bytes, all but `parameters` estimated: layers are cached whole and in order of execution, the rest is streamed."""

    executable: int
    activations: int
    parameters: int
    cached: int
    streamed: int
    # Where streaming begins, None where it does not.
    first_streamed: str | None


def memory_of(cases: Sequence[Case]) -> Memory:
    """Estimate the budget of the operators that run on the accelerator, in their order."""
    executable = EXECUTABLE_BYTES + EXECUTABLE_BYTES_PER_OPERATOR * len(cases) if cases else 0
    activations = _peak(cases)
    room = max(SRAM_BYTES - executable - activations, 0)
    cached = streamed = 0
    first: str | None = None
    known: set[int] = set()
    for case in cases:
        constants = [tensor for tensor in case.inputs if tensor is not None and tensor.data is not None and id(tensor) not in known]
        known.update(map(id, constants))
        size = sum(tensor.data.nbytes for tensor in constants if tensor.data is not None)
        if first is None and cached + size <= room:
            cached += size
        else:
            first = first or f"{case.kind} {case.name}"
            streamed += size
    return Memory(executable, activations, cached + streamed, cached, streamed, first)


def _peak(cases: Sequence[Case]) -> int:
    """Return the most bytes of values that are needed at one time."""
    last: dict[int, int] = {}
    for step, case in enumerate(cases):
        for tensor in case.values:
            last[id(tensor)] = step
    held: dict[int, int] = {}
    peak = 0
    for step, case in enumerate(cases):
        held.update((id(tensor), _bytes(tensor)) for tensor in case.values)
        peak = max(peak, sum(held.values()))
        held = {tensor: size for tensor, size in held.items() if last[tensor] > step}
    return peak


def _bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape)
