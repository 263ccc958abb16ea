"""The gate's evidence as a document, report.json: what was compiled, from which files, and what each target lost."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from compiler.edgetpu.stage import EdgeTpuReport
from compiler.evaluate.datasets import Samples
from compiler.evaluate.gate import Judgement
from compiler.evaluate.intervals import Interval
from compiler.package.layers import LayerSqnr
from compiler.package.placement import OpPlacement
from compiler.package.section import Section
from contracts.codec import sha256_of, sha256_of_stream
from contracts.manifest import Flips, GateEvidence, Tolerance, Verdict, WorstClass
from contracts.names import Runtime
from contracts.postprocess import Postprocess
from contracts.preprocess import Preprocess

# Their versions decide what comes out.
TOOLS = ("numpy", "onnx", "onnxruntime", "onnxslim")


class SourceFile(Section):
    """What went in: a file, a folder or what a callable yielded, named by the digest of its content."""

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
    """One metric on the same `n` samples before and after; `drop` is how much worse it is now, for an error by how much it grew."""

    name: str
    # A share of 1, or the metric's own unit.
    unit: Literal["share", "value"]
    # Against labels, or against the float model's own outputs.
    truth: Literal["labels", "float"]
    interval: Literal["newcombe", "bootstrap"]
    # In the document the key is `float`.
    before: Annotated[float, Field(alias="float")]
    compiled: float
    drop: float
    drop_lower: float
    drop_upper: float
    n: int
    float_interval: IntervalReport
    compiled_interval: IntervalReport


class TargetReport(Section):
    """One target."""

    title: str
    why: str
    runtime: Runtime
    # The library that ran the shipped bytes for the gate, and its version.
    judged_by: str
    precision: str
    # How the graph was written: which integers, and whose placement rules.
    lowering: str
    session_options: dict[str, str]
    bytes: int
    metric: MetricReport
    verdict: Verdict
    samples_for_proof: int | None
    tolerance: Tolerance
    # For models that choose a class; the matrix has a row for each right class, and a column for each choice.
    flips: Flips | None = None
    worst_class: WorstClass | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    # Every layer in the graph's order, on how many of the evaluation samples, and what computed it so that its inside could be read.
    layers: tuple[LayerSqnr, ...] = ()
    layer_samples: int | None = None
    layers_measured_by: str | None = None
    placement: tuple[OpPlacement, ...] = ()
    # For a Coral: where each operator should run, and whether the file was compiled for it.
    edge_tpu: EdgeTpuReport | None = None


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
    postprocess: Postprocess | None = None
    # Names of the classes, where they were given.
    labels: tuple[str, ...] = ()
    # What the float model was said to reach, and was seen to.
    declared: float | None = None
    max_drop: float
    # Calibration and evaluation are one set, and each sample was judged by a plan that never saw it, one of so many; what ships is
    # calibrated on all of them. Left out where the two sets are apart.
    folds: int | None = None
    golden_samples: int
    # Versions of the libraries that did the work, and the machine that judged it.
    tools: dict[str, str]
    targets: dict[str, TargetReport]

    def to_json(self) -> str:
        """Return the document for files and terminals: sorted keys, two spaces."""
        return json.dumps(self.document(), indent=2, sort_keys=True, allow_nan=False) + "\n"

    def document(self) -> dict[str, Any]:
        """Return the document's plain values, by the document's own keys."""
        return self.model_dump(mode="json", by_alias=True, exclude={"folds"} if self.folds is None else None)


def sample_file(samples: Samples) -> SourceFile:
    """Identify a set of samples by its content."""
    identity = samples.source.identity()
    return SourceFile(name=identity.name, sha256=identity.sha256, bytes=identity.bytes, samples=len(samples))


def model_source(source: Path, imported: bytes) -> SourceFile:
    """Identify a model by its file, or where it is a folder or a function by the graph that was made of it.

    Of a path only the name is kept, so that a bundle does not depend on folders.
    """
    if not source.is_file():
        return SourceFile(name=source.name, sha256=sha256_of(imported), bytes=len(imported))
    with source.open("rb") as stream:
        return SourceFile(name=source.name, sha256=sha256_of_stream(stream), bytes=source.stat().st_size)


def tool_versions() -> dict[str, str]:
    """Return the versions of the libraries at work, and this machine's architecture."""
    return {**{name: metadata.version(name) for name in TOOLS}, "architecture": platform.machine()}


def metric_report(judgement: Judgement, *, is_label_free: bool = False) -> MetricReport:
    """Write down what the gate found."""
    estimate = judgement.estimate
    return MetricReport(
        name=judgement.metric.name,
        unit="share" if judgement.metric.is_share else "value",
        truth="float" if is_label_free else "labels",
        interval=judgement.method,
        before=estimate.float_value,
        compiled=estimate.compiled_value,
        drop=estimate.drop,
        drop_lower=estimate.drop_interval.low,
        drop_upper=estimate.drop_interval.high,
        n=judgement.samples,
        float_interval=IntervalReport.of(estimate.float_interval),
        compiled_interval=IntervalReport.of(estimate.compiled_interval),
    )


def gate_evidence(report: Report, target: TargetReport) -> GateEvidence:
    """Return the part of the evidence that is signed with the manifest."""
    metric = target.metric
    return GateEvidence(
        metric=metric.name,
        float_value=metric.before,
        compiled_value=metric.compiled,
        drop=metric.drop,
        drop_upper=metric.drop_upper,
        max_drop=report.max_drop,
        samples=metric.n,
        verdict=target.verdict,
        truth=metric.truth,
        interval=metric.interval,
        declared=report.declared,
        worst_class=target.worst_class,
        flips=target.flips,
        calibration_sha256=report.calibration.sha256,
        evaluation_sha256=report.evaluation.sha256,
        judged_by=target.judged_by,
        folds=report.folds,
    )
