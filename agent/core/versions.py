"""Decides what is installed when a version of the agent is asked for, and under which name it lies on the device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from agent.errors import InstallError

_WHEEL = re.compile(r"fieldfare-(?P<version>[0-9][0-9A-Za-z.+!]*)-[0-9A-Za-z_.]+-[0-9A-Za-z_.]+-[0-9A-Za-z_.]+\.whl")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!]{0,63}")
# Runtimes and cameras are chosen per device, so a new version of the agent brings none: it keeps those that are there, as they are.
KEPT = ("onnxruntime", "onnxruntime-gpu", "ai-edge-litert", "tflite-runtime", "opencv-python-headless")


@dataclass(frozen=True)
class Wanted:
    """One version of the agent: the name of its environment, and what pip is asked for."""

    label: str
    requirements: tuple[str, ...]


def wanted(text: str, wheel_sha256: str | None, installed: Mapping[str, str]) -> Wanted:
    """Read a version such as 0.2.0, or the path of a wheel with its digest; raise InstallError.

    `installed` are versions by distribution: the runtimes among them are asked for again.
    """
    kept = [f"{name}=={installed[name]}" for name in KEPT if name in installed]
    if "tflite-runtime" in installed:
        kept.append("numpy<2")  # it was built against the first
    if wheel_sha256 is not None:
        named = _WHEEL.fullmatch(PurePath(text).name)
        if named is None:
            raise InstallError(text, "a wheel of fieldfare, such as fieldfare-0.2.0-py3-none-any.whl", repr(PurePath(text).name))
        # Wheels that are built along the way share a version, but not their bytes.
        return Wanted(f"{named['version']}-{wheel_sha256[:12]}", (f"{text}[agent]", *kept))
    if _VERSION.fullmatch(text) is None:
        raise InstallError(text, "the path of a wheel, or a version such as 0.2.0", "neither")
    return Wanted(text, (f"fieldfare[agent]=={text}", *kept))


def pip_options(index: str | None) -> tuple[str, ...]:
    """Return where pip looks: the URL of an index alone, a folder of wheels alone, or what the machine has set up."""
    if index is None:
        return ()
    if re.match(r"https?://", index):
        return ("--index-url", index)
    return ("--no-index", "--find-links", index)
