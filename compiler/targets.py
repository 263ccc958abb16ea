"""Reads the target profiles: for each kind of device how a model is lowered for it, and why so."""

from __future__ import annotations

import sys
from importlib import resources
from typing import Literal

from pydantic import BaseModel

from compiler.errors import OptionError, TargetError
from contracts.manifest import Runtime

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LoweringName = Literal["ort-u8s8", "ort-s8s8", "ort-dynamic", "ort-int4", "tensorrt-int8", "tensorrt-fp16", "edgetpu-int8"]


class TargetProfile(BaseModel, frozen=True, extra="forbid"):
    """One kind of device."""

    name: str
    title: str
    runtime: Runtime
    lowering: LoweringName
    # Why this lowering suits this device, for people who read the report.
    why: str
    # ONNX Runtime session configuration for gate and device alike.
    session_options: dict[str, str] = {}


def target_names() -> tuple[str, ...]:
    """Return every target that has a profile, sorted."""
    folder = resources.files("compiler") / "targets"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def load_profile(name: str) -> TargetProfile:
    """Return a profile; raise OptionError for an unknown target and TargetError for one that has no lowering yet."""
    known = target_names()
    if name not in known:
        raise OptionError("--target", "name", f"one of {', '.join(known)}", repr(name))
    text = (resources.files("compiler") / "targets" / f"{name}.toml").read_text(encoding="utf-8")
    profile = TargetProfile(name=name, **tomllib.loads(text))
    if profile.runtime != "onnx":
        raise TargetError(name, f"not yet: expected a target that runs ONNX, found one that needs {profile.runtime} ({profile.lowering})")
    return profile
