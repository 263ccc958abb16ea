"""Reads the target profiles: for each kind of device how a model is lowered for it, and why so."""

from __future__ import annotations

import sys
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from compiler.errors import OptionError
from contracts.names import Runtime

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LoweringName = Literal[
    "ort-u8s8",
    "ort-s8s8",
    "ort-dynamic",
    "ort-int4",
    "tensorrt-int8",
    "tensorrt-int8-fp16",
    "tensorrt-fp16",
    "tflite-int8",
    "tflite-int8-float-io",
    "tflite-edgetpu",
    "tflite-int16",
    "tflite-float16",
    "tflite-dynamic",
    "tflite-float32",
]


class TargetProfile(BaseModel, frozen=True, extra="forbid"):
    """One kind of device."""

    name: str
    title: str
    # Best first; the first is the one in use.
    lowerings: Annotated[tuple[LoweringName, ...], Field(min_length=1)]
    # Why this lowering suits this device, for people who read the report.
    why: str
    # What the int8 file is compiled for once more, where that compiler is installed.
    accelerator: Literal["edgetpu"] | None = None
    # ONNX Runtime session configuration for gate and device alike.
    session_options: dict[str, str] = {}

    @property
    def lowering(self) -> LoweringName:
        """Return how a model is lowered."""
        return self.lowerings[0]

    @property
    def runtime(self) -> Runtime:
        """Return what loads the lowered file on the device."""
        return "litert" if self.lowering.startswith("tflite-") else "onnx"


def target_names() -> tuple[str, ...]:
    """Return every target that has a profile, sorted."""
    folder = resources.files("compiler") / "targets"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def load_profile(wanted: str) -> TargetProfile:
    """Return the profile of TARGET, or of TARGET:LOWERING with that lowering in use; raise OptionError naming those there are."""
    name, _, lowering = wanted.partition(":")
    known = target_names()
    if name not in known:
        raise OptionError("--target", "name", f"one of {', '.join(known)}", repr(name))
    text = (resources.files("compiler") / "targets" / f"{name}.toml").read_text(encoding="utf-8")
    profile = TargetProfile(name=name, **tomllib.loads(text))
    if not lowering:
        return profile
    chosen = tuple(each for each in profile.lowerings if each == lowering)
    if not chosen:
        raise OptionError("--target", wanted, f"one of {', '.join(profile.lowerings)} after the colon", repr(lowering))
    return profile.model_copy(update={"lowerings": chosen})
