"""What a trial process is told, and what it answers: a release run beside the worker that serves it, to be proved or timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter

from contracts.agent_config import RuntimeSection
from contracts.commands import MAX_RUNS

Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]
MAX_ANSWER_BYTES = 64 * 1024


class TrialOrder(BaseModel, frozen=True, extra="forbid"):
    """All that a trial is told, as one JSON argument."""

    kind: Literal["golden", "benchmark"]
    model: str
    release_dir: str
    target: str
    threads: Annotated[int, Field(ge=1)] = 1
    # Of a benchmark.
    runs: Annotated[int, Field(ge=1, le=MAX_RUNS)] = 1
    runtime: RuntimeSection
    # Writable private memory that the kernel gives it at most, as to a worker.
    data_bytes: Annotated[int, Field(gt=0)] | None


class Proved(BaseModel, frozen=True, extra="ignore"):
    """How the golden set went."""

    kind: Literal["golden"] = "golden"
    runtime: str
    provider: str
    passed: bool
    samples: Annotated[int, Field(ge=0)]
    error: Finite
    tolerance: Finite
    reason: str = ""


class Timed(BaseModel, frozen=True, extra="ignore"):
    """Milliseconds of one inference with its preprocessing; `runs` may be fewer than asked for where they take long."""

    kind: Literal["benchmark"] = "benchmark"
    runtime: str
    provider: str
    precision: str
    runs: Annotated[int, Field(ge=1)]
    mean_ms: Finite
    p50_ms: Finite
    p95_ms: Finite


TrialAnswer = Annotated[Proved | Timed, Field(discriminator="kind")]
TRIAL_ANSWER: TypeAdapter[TrialAnswer] = TypeAdapter(TrialAnswer)


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, of which there is at least one, as one of them."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
