"""What a bundle holds and which devices may run it: the document whose digest is a release's identity."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from contracts import codec
from contracts.chunks import MAX_FILE_BYTES, chunk_count
from contracts.grown import Grown
from contracts.names import BundlePath, ModelName, ReleaseCounter, Runtime, Sha256, TargetName
from contracts.postprocess import Postprocess
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec

MAX_MANIFEST_BYTES = 8 << 20
Share = Annotated[float, Field(allow_inf_nan=False)]
Step = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Verdict = Literal["proven", "unproven", "failed"]
# What became of an int8 file for an Edge TPU when the bundle was made.
EdgeTpuOutcome = Literal["compiled", "not-installed", "failed", "timed-out", "nothing-mapped"]


class FileEntry(BaseModel, frozen=True, extra="forbid"):
    """One file's identity, and the digests of its 256 KiB chunks."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]
    chunks: tuple[Sha256, ...]

    @model_validator(mode="after")
    def _one_digest_per_chunk(self) -> FileEntry:
        if len(self.chunks) != chunk_count(self.bytes):
            raise ValueError(f"{chunk_count(self.bytes)} chunk digests for {self.bytes} bytes, not {len(self.chunks)}")
        return self


class WorstClass(BaseModel, frozen=True, extra="forbid"):
    """The class that lost most; values are shares of its own samples that are answered right."""

    index: Annotated[int, Field(ge=0)]
    float_value: Share
    compiled_value: Share
    samples: Annotated[int, Field(ge=1)]


class Flips(Grown, frozen=True, extra="forbid"):
    """How many samples the compiled model puts into another class than the float model does."""

    changed: Annotated[int, Field(ge=0)]
    # Where there are labels: right before and wrong now, and the other way round; the rest was wrong and is wrong otherwise.
    lost: Annotated[int, Field(ge=0)] | None = None
    gained: Annotated[int, Field(ge=0)] | None = None


class GateEvidence(Grown, frozen=True, extra="forbid"):
    """What the compiler measured on the shipped bytes before it let them go.

    `drop` is how much worse the compiled model is, in the metric's own unit; for an error, by how much it grew.
    """

    metric: str
    float_value: Share
    compiled_value: Share
    drop: Share
    # Upper end of the 95 % interval of the paired drop.
    drop_upper: Share
    max_drop: Share
    samples: Annotated[int, Field(ge=1)]
    verdict: Verdict
    # Against what: the samples' own labels, or, where there are none, the float model's outputs.
    truth: Literal["labels", "float"] | None = None
    interval: Literal["newcombe", "bootstrap"] | None = None
    # What the float model was said to reach, and was seen to.
    declared: Share | None = None
    worst_class: WorstClass | None = None
    flips: Flips | None = None
    # Which samples set the ranges and which judged; no sample is in both, but where there are folds.
    calibration_sha256: Sha256 | None = None
    evaluation_sha256: Sha256 | None = None
    # The library that ran the shipped bytes, and its version.
    judged_by: str | None = None
    # Calibration and evaluation are one set, cut into so many parts: the numbers are pooled over the parts, each judged by a file whose
    # plan was made without it. The shipped file is made the same way from all samples.
    folds: Annotated[int, Field(ge=2)] | None = None


class Tolerance(Grown, frozen=True, extra="forbid"):
    """How far a device's golden outputs may lie from the compiler's."""

    absolute: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    # For classifiers: the largest output must stay the same one.
    same_argmax: bool
    # Of an integer engine: by output, the distance between two neighbouring values. No value of such an output may lie more than one
    # step away, whatever `absolute` says.
    steps: dict[str, Step] | None = None


class EdgeTpuBuild(Grown, frozen=True, extra="forbid"):
    """Whether an artifact was compiled for the Edge TPU. The gate judges the int8 file; a compiled one runs on the accelerator alone."""

    outcome: EdgeTpuOutcome
    # The version of edgetpu_compiler.
    compiler: str | None = None
    # Beside a compiled file: the int8 file that was judged, which a device without the accelerator runs on its CPU.
    judged_file: BundlePath | None = None


class Artifact(Grown, frozen=True, extra="forbid"):
    """The model as one target runs it."""

    runtime: Runtime
    precision: str
    file: BundlePath
    # ONNX Runtime session configuration that the gate used, and that the device must use too.
    session_options: dict[str, str] = Field(default_factory=dict)
    # What the runtime itself takes and gives, after preprocessing.
    inputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    golden_outputs: BundlePath
    # Where the manifest has a postprocess: an .npz of what it makes of the golden outputs, to be met exactly but for rounding.
    golden_results: BundlePath | None = None
    tolerance: Tolerance
    gate: GateEvidence
    # For a Coral.
    edge_tpu: EdgeTpuBuild | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Return what a device needs of the bundle to run it."""
        judged = self.edge_tpu.judged_file if self.edge_tpu else None
        return tuple(filter(None, (self.file, self.golden_outputs, self.golden_results, judged)))


class Manifest(Grown, frozen=True, extra="forbid"):
    """One release of one model, for every target it was compiled for."""

    schema_version: Literal[1] = 1
    name: ModelName
    release: ReleaseCounter
    # What callers send: raw samples, before preprocessing. Of an image height and width are those of the golden samples; where
    # preprocessing leads photos of any size to the same input (Preprocess.leads_alike), callers send any size.
    inputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    preprocess: Preprocess
    # From the artifact's outputs to what callers act on.
    postprocess: Postprocess | None = None
    labels: tuple[str, ...] = ()
    # An .npz of raw samples: array `<input name>` of shape [n, ...sample].
    golden_inputs: BundlePath
    artifacts: Annotated[dict[TargetName, Artifact], Field(min_length=1)]
    files: dict[BundlePath, FileEntry]

    @model_validator(mode="after")
    def _names_only_listed_files(self) -> Manifest:
        for path in self.paths_for(*self.artifacts):
            if path not in self.files:
                raise ValueError(f"{path} listed under files")
        return self

    @property
    def sha256(self) -> str:
        """The release's identity."""
        return codec.sha256_of(codec.encode(self))

    def is_newer_than(self, running: int) -> bool:
        """Refuse downgrades: a release counter only ever grows."""
        return self.release > running

    def first_target_of(self, targets: tuple[str, ...], runtimes: Collection[str]) -> str | None:
        """Return the first of a device's targets, best first, that this release was compiled for and the device has the runtime of."""
        compiled = (target for target in targets if target in self.artifacts)
        return next((target for target in compiled if self.artifacts[target].runtime in runtimes), None)

    def paths_for(self, *targets: str) -> tuple[str, ...]:
        """Return the files a device of these targets needs, each once, in a fixed order."""
        paths = {self.golden_inputs}
        for target in targets:
            paths |= set(self.artifacts[target].files)
        return tuple(sorted(paths))


def decode_manifest(raw: bytes, name: str = "manifest.json") -> Manifest:
    """Read a manifest; raise InvalidDocumentError or TooLargeError naming what is wrong."""
    return codec.decode(Manifest, raw, name=name, max_bytes=MAX_MANIFEST_BYTES)
