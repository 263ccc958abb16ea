"""The gate's evidence as a document, report.json: what was compiled, from which files, and what each target lost."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from compiler.evaluate.gate import Judgement
from compiler.evaluate.intervals import Interval
from contracts.codec import sha256_of, sha256_of_stream
from contracts.manifest import GateEvidence, Runtime, Tolerance, Verdict
from contracts.preprocess import Preprocess

# Their versions decide what comes out.
TOOLS = ("numpy", "onnx", "onnxruntime", "onnxslim")


class Section(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SourceFile(Section):
    """A file that went in."""

    name: str
    sha256: str
    bytes: int
    # For sets of samples.
    samples: int | None = None


class IntervalReport(Section):
    """A 95 % interval."""

    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval) -> IntervalReport:
        """Write down an interval."""
        return cls(low=interval.low, high=interval.high)


class MetricReport(Section):
    """One metric on the same `n` samples before and after; every value is a share, 1 being all of them."""

    name: str
    # In the document the key is `float`.
    before: Annotated[float, Field(alias="float")]
    compiled: float
    drop: float
    drop_lower: float
    drop_upper: float
    n: int
    float_interval: IntervalReport
    compiled_interval: IntervalReport
    # Samples that only the float model, and only the compiled model, gets right.
    lost: int
    gained: int


class TargetReport(Section):
    """One target."""

    title: str
    why: str
    runtime: Runtime
    precision: str
    # How the graph was written: which integers, and whose placement rules.
    lowering: str
    session_options: dict[str, str]
    bytes: int
    metric: MetricReport
    verdict: Verdict
    samples_for_proof: int | None
    tolerance: Tolerance


class Report(Section):
    """The whole document."""

    schema_version: Literal[1] = 1
    name: str
    release: int
    model: SourceFile
    # What the importer had to remark on the model, each a sentence for people.
    notes: tuple[str, ...] = ()
    calibration: SourceFile
    evaluation: SourceFile
    preprocess: Preprocess
    max_drop: float
    golden_samples: int
    # Versions of the libraries that did the work, and the machine that judged it.
    tools: dict[str, str]
    targets: dict[str, TargetReport]

    def to_json(self) -> str:
        """Return the document for files and terminals: sorted keys, two spaces."""
        return json.dumps(self.document(), indent=2, sort_keys=True, allow_nan=False) + "\n"

    def document(self) -> dict[str, Any]:
        """Return the document's plain values, by the document's own keys."""
        return self.model_dump(mode="json", by_alias=True)


def source_file(file: Path, samples: int | None = None) -> SourceFile:
    """Identify a file by its content; of its path only the name is kept, so that a bundle does not depend on folders."""
    with file.open("rb") as stream:
        return SourceFile(name=file.name, sha256=sha256_of_stream(stream), bytes=file.stat().st_size, samples=samples)


def model_source(source: Path, imported: bytes) -> SourceFile:
    """Identify a model by its file, or where it is a folder or a function by the graph that was made of it."""
    if source.is_file():
        return source_file(source)
    return SourceFile(name=source.name, sha256=sha256_of(imported), bytes=len(imported))


def tool_versions() -> dict[str, str]:
    """Return the versions of the libraries at work, and this machine's architecture."""
    return {**{name: metadata.version(name) for name in TOOLS}, "architecture": platform.machine()}


def metric_report(name: str, judgement: Judgement) -> MetricReport:
    """Write down what the gate found."""
    return MetricReport(
        name=name,
        before=judgement.float_share,
        compiled=judgement.compiled_share,
        drop=judgement.drop,
        drop_lower=judgement.drop_interval.low,
        drop_upper=judgement.drop_interval.high,
        n=int(judgement.counts.n),
        float_interval=IntervalReport.of(judgement.float_interval),
        compiled_interval=IntervalReport.of(judgement.compiled_interval),
        lost=int(judgement.counts.lost),
        gained=int(judgement.counts.gained),
    )


def gate_evidence(metric: MetricReport, verdict: Verdict, max_drop: float) -> GateEvidence:
    """Return the part of the evidence that is signed with the manifest."""
    return GateEvidence(
        metric=metric.name,
        float_value=metric.before,
        compiled_value=metric.compiled,
        drop=metric.drop,
        drop_upper=metric.drop_upper,
        max_drop=max_drop,
        samples=metric.n,
        verdict=verdict,
    )
