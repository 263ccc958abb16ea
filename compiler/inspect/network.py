"""What is known of a model in any format, and what follows from it: parameters, multiply-accumulates, peak memory of activations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

# Sizes that the file leaves open are None.
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Value:
    """One tensor; `bits` is the width of its elements."""

    datatype: str
    shape: Shape | None
    bits: int

    @property
    def elements(self) -> int | None:
        """Return how many numbers it holds, where every size is known."""
        if self.shape is None or None in self.shape:
            return None
        return math.prod(size or 0 for size in self.shape)

    @property
    def bytes(self) -> int | None:
        """Return how much memory it takes."""
        return None if self.elements is None else (self.elements * self.bits + 7) // 8


@dataclass(frozen=True)
class Step:
    """One operator; `macs` is None where a shape is not known, 0 for what multiplies nothing. A view shares its input's memory."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int | None
    is_view: bool


@dataclass(frozen=True)
class Peak:
    """The most memory that activations take at one time, and the step at which they do."""

    bytes: int
    step: str
    op: str


@dataclass(frozen=True)
class Network:
    """A graph in the order of computation; `values` holds activations and constants alike."""

    format: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: Mapping[str, Value]
    # Constants that were trained: weights, biases, statistics.
    parameters: frozenset[str]
    # Those of them that are stored in fewer than 32 bits.
    shortened: frozenset[str]
    steps: tuple[Step, ...]

    def operators(self) -> dict[str, int]:
        """Count the operators of each kind, most frequent first."""
        return dict(sorted(Counter(step.op for step in self.steps).items(), key=lambda item: (-item[1], item[0])))

    def parameter_count(self) -> int:
        """Return how many numbers were trained."""
        return sum(self.values[name].elements or 0 for name in self.parameters)

    def parameter_bytes(self) -> int:
        """Return how many bytes the trained numbers take in the file."""
        return sum(self.values[name].bytes or 0 for name in self.parameters)

    def macs(self) -> int | None:
        """Return the multiply-accumulates of one inference; None where a shape is not known."""
        counts = [step.macs for step in self.steps]
        return None if None in counts else sum(count or 0 for count in counts)

    def peak(self) -> Peak | None:
        """Return the most memory alive at one time, every result in a place of its own; None where a shape is not known."""
        roots = self._roots()
        last_use = {roots.get(name, name): place for place, step in enumerate(self.steps) for name in step.inputs if name}
        last_use |= {roots.get(name, name): len(self.steps) for name in self.outputs}
        alive = {name: self._bytes(name) for name in self.inputs}
        best: Peak | None = None
        for place, step in enumerate(self.steps):
            alive |= {name: self._bytes(name) for name in step.outputs if name and name not in roots}
            sizes = list(alive.values())
            if None in sizes:
                return None
            total = sum(size or 0 for size in sizes)
            if best is None or total > best.bytes:
                best = Peak(total, step.name, step.op)
            alive = {name: size for name, size in alive.items() if last_use.get(name, -1) > place}
        return best

    def _bytes(self, name: str) -> int | None:
        value = self.values.get(name)
        return None if value is None else value.bytes

    def _roots(self) -> dict[str, str]:
        """Map each view to the value whose memory it shares."""
        roots: dict[str, str] = {}
        for step in self.steps:
            if step.is_view and step.inputs:
                source = step.inputs[0]
                roots |= dict.fromkeys(step.outputs, roots.get(source, source))
        return roots
