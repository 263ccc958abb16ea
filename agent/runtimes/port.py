"""Decides what a worker may ask of any inference runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from contracts.agent_config import RuntimeSection
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
    # Whether it may fall back to the CPU, and how an engine is built.
    runtime: RuntimeSection = field(default_factory=RuntimeSection)
    # Where the engines built on this device are, or go; None where nothing may be kept.
    engine_dir: Path | None = None
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
    def is_exclusive(self) -> bool:
        """Whether what runs it serves no other process meanwhile."""

    @property
    def placement(self) -> dict[str, int]:
        """How many of the model's operators each provider runs; empty where the library does not tell."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `infer` takes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `infer` gives."""

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one sample, real values of the shapes in `inputs`; return the datatypes of `outputs`; raise InferenceError."""
