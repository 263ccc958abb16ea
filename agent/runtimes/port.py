"""Decides what a worker may ask of any inference runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from contracts.manifest import Artifact
from contracts.tensors import TensorSpec

Array: TypeAlias = npt.NDArray[np.generic]
# Arrays by tensor name.
Arrays: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class ModelSource:
    """All that a loader needs to know about one artifact."""

    file: Path
    artifact: Artifact
    # The device profile it was compiled for, which says what accelerator to hope for.
    target: str
    threads: int
    # Where engines built on this device may be kept.
    cache_dir: Path
    # The same model for this device's CPU, where `file` needs an accelerator.
    cpu_file: Path | None = None


class Runtime(Protocol):
    """A loaded model; used by one thread at a time."""

    @property
    def name(self) -> str:
        """The runtime's name, as in a manifest."""

    @property
    def version(self) -> str:
        """The installed library's version."""

    @property
    def provider(self) -> str:
        """What really runs the model."""

    @property
    def preferred_provider(self) -> str:
        """What this hardware's best would have been."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `infer` takes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `infer` gives."""

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one sample, real values of the shapes in `inputs`; return the datatypes of `outputs`; raise InferenceError."""
