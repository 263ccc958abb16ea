"""What a bundle holds and which devices may run it: the document whose digest is a release's identity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from contracts import codec
from contracts.chunks import MAX_FILE_BYTES, chunk_count
from contracts.names import BundlePath, ModelName, Sha256, TargetName
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec

MAX_MANIFEST_BYTES = 8 << 20
ReleaseCounter = Annotated[int, Field(ge=1, le=2**31 - 1)]
Share = Annotated[float, Field(allow_inf_nan=False)]
Verdict = Literal["proven", "unproven", "failed"]
# Which loader a device needs: ONNX Runtime, or LiteRT / TensorFlow Lite.
Runtime = Literal["onnx", "litert"]


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


class GateEvidence(BaseModel, frozen=True, extra="forbid"):
    """What the compiler measured on the shipped bytes before it let them go."""

    metric: str
    float_value: Share
    compiled_value: Share
    drop: Share
    # Upper end of the 95 % interval of the paired drop.
    drop_upper: Share
    max_drop: Share
    samples: Annotated[int, Field(ge=1)]
    verdict: Verdict


class Tolerance(BaseModel, frozen=True, extra="forbid"):
    """How far a device's golden outputs may lie from the compiler's."""

    absolute: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    # For classifiers: the largest output must stay the same one.
    same_argmax: bool


class Artifact(BaseModel, frozen=True, extra="forbid"):
    """The model as one target runs it."""

    runtime: Runtime
    precision: str
    file: BundlePath
    # ONNX Runtime session configuration that the gate used, and that the device must use too.
    session_options: dict[str, str] = {}
    # What the runtime itself takes and gives, after preprocessing.
    inputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    golden_outputs: BundlePath
    tolerance: Tolerance
    gate: GateEvidence


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """One release of one model, for every target it was compiled for."""

    schema_version: Literal[1] = 1
    name: ModelName
    release: ReleaseCounter
    # What callers send: raw samples, before preprocessing.
    inputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    preprocess: Preprocess
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

    def first_target_of(self, targets: tuple[str, ...]) -> str | None:
        """Return the first of a device's targets, best first, that this release was compiled for."""
        return next((target for target in targets if target in self.artifacts), None)

    def paths_for(self, *targets: str) -> tuple[str, ...]:
        """Return the files a device of these targets needs, each once, in a fixed order."""
        paths = {self.golden_inputs}
        for target in targets:
            paths |= {self.artifacts[target].file, self.artifacts[target].golden_outputs}
        return tuple(sorted(paths))


def decode_manifest(raw: bytes, name: str = "manifest.json") -> Manifest:
    """Read a manifest; raise InvalidDocumentError or TooLargeError naming what is wrong."""
    return codec.decode(Manifest, raw, name=name, max_bytes=MAX_MANIFEST_BYTES)
