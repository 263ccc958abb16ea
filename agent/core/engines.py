"""Decides which releases need an engine that is built on the device, what such an engine depends on, and how far its building is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from agent.core.platform import Platform
from contracts import codec
from contracts.agent_config import RuntimeSection
from contracts.manifest import Artifact, Manifest

MAX_BUILT_BYTES = 64 * 1024
# Under a release's folder; no file of a bundle can have a name with a dot in front.
DEVICE_FOLDER = ".device"
# A link to the engine that fits this platform.
ENGINE_LINK = "engine"
# Without an earlier build to go by.
USUAL_BUILD_S = 600.0
# Never 1 before the end, however wrong the estimate.
NEARLY_DONE = 0.99
# What an engine is bound to; a new kernel or C library does not spoil it.
_BINDING = ("gpu", "l4t", "driver", "cuda", "cudnn", "tensorrt", "onnx")


class BuildOrder(BaseModel, frozen=True, extra="forbid"):
    """All that a builder is told, as one JSON argument."""

    model: str
    release_dir: str
    target: str
    # An empty folder for what is built.
    into: str
    runtime: RuntimeSection


class Built(BaseModel, frozen=True, extra="ignore"):
    """A builder's last word, as one JSON line: what will run the model."""

    provider: str


class EngineRecord(BaseModel, frozen=True, extra="ignore"):
    """What is kept beside an engine: its files by digest, and what its building took."""

    model: str
    target: str
    provider: str
    seconds: Annotated[float, Field(ge=0)]
    files: dict[str, str]


def is_built_on_device(target: str) -> bool:
    """Say whether TensorRT is what a target's hardware runs best: then the device builds the engine itself."""
    return target.startswith("jetson")


def needs_engine(target: str, artifact: Artifact) -> bool:
    """Say whether a release's artifact must be built before it can be loaded."""
    return is_built_on_device(target) and artifact.runtime == "onnx"


def engine_key(manifest: Manifest, target: str, runtime: RuntimeSection, platform: Platform) -> str:
    """Name an engine by all that it depends on: the model's bytes, how it is built, GPU, TensorRT and JetPack."""
    artifact = manifest.artifacts[target]
    parts = {
        "model": manifest.files[artifact.file].sha256,
        "precision": artifact.precision,
        "options": artifact.session_options,
        "effort": runtime.engine_effort,
        "workspace": runtime.engine_workspace_bytes,
        "platform": platform.of(*_BINDING),
    }
    return codec.sha256_of(codec.canonical(parts))[:32]


def progress(elapsed_s: float, estimate_s: float | None) -> float:
    """Return the share of a build that is probably done."""
    return min(NEARLY_DONE, elapsed_s / max(estimate_s or USUAL_BUILD_S, 1.0))


def progress_text(elapsed_s: float, estimate_s: float | None) -> str:
    """Say how far a build is, for people."""
    usual = "no earlier build to go by" if estimate_s is None else f"the build before took {estimate_s:.0f} s"
    return f"building the engine for {elapsed_s:.0f} s; {usual}"
