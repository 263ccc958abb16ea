"""What the gate asks of a runtime and of a source of samples, and the values that pass between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from contracts.codec import Json
from contracts.view import View

Array: TypeAlias = npt.NDArray[Any]
# One sample by tensor name, batch of 1: as callers send it, as the model takes it, as it answers.
Raw: TypeAlias = Mapping[str, Array]
Feed: TypeAlias = Mapping[str, Array]
Outputs: TypeAlias = Mapping[str, Array]


@dataclass(frozen=True)
class Example:
    """One raw sample, and its label where there is one: a class, target values, or boxes."""

    raw: Raw
    label: Array | None


@dataclass(frozen=True)
class Shown:
    """One sample as the model takes it, its label where there is one, and which part of the raw sample the model sees."""

    feed: Feed
    label: Array | None
    view: View


@dataclass(frozen=True)
class Identity:
    """What names a source in a report: no path, so that a bundle does not depend on folders."""

    name: str
    sha256: str
    bytes: int


class Source(Protocol):
    """Where samples come from; read as often as needed, one sample in memory at a time."""

    @property
    def place(self) -> str:
        """What errors call it."""

    @property
    def content(self) -> Mapping[str, Json] | None:
        """What decides the samples, named without looking at one; None where only reading them tells."""

    def examples(self) -> Iterator[Example]:
        """Yield every sample, always the same ones in the same order; raise DataError."""

    def identity(self) -> Identity:
        """Name the content by its digest."""


class Engine(Protocol):
    """A loaded model; one sample at a time."""

    @property
    def version(self) -> str:
        """The library that runs it, and its version."""

    def infer(self, feed: Feed) -> Outputs:
        """Return real values by output name, in the model's order; raise RunError."""
