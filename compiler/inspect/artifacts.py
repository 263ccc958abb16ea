"""Finds the files that can be run: a model's own file, or the artifacts of a bundle whose every byte was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compiler.errors import ModelError, OptionError
from compiler.importers.files import is_tflite
from contracts.bundle import MANIFEST, read_bundle
from contracts.names import Runtime


@dataclass(frozen=True)
class Artifact:
    """One file, and how it must be run; `label` is its target in a bundle, else its name."""

    label: str
    file: Path
    runtime: Runtime
    session_options: Mapping[str, str] = field(default_factory=dict)


def bundle_artifacts(folder: Path) -> tuple[Artifact, ...] | None:
    """Return a bundle's artifacts, or None for what is no bundle; raise a ContractError naming a file that is not as it was signed."""
    if not (folder / MANIFEST).is_file():
        return None
    manifest = read_bundle(folder)
    return tuple(
        Artifact(target, folder / artifact.file, artifact.runtime, artifact.session_options)
        for target, artifact in sorted(manifest.artifacts.items())
    )


def runnable(source: Path, targets: list[str]) -> tuple[Artifact, ...]:
    """Return what of a file or bundle is to be run; raise ModelError or OptionError."""
    artifacts = bundle_artifacts(source)
    if artifacts is None:
        if targets:
            raise OptionError("--target", "bundle", "a bundle to choose from", f"{source}, which is none")
        return (_single(source),)
    known = {artifact.label: artifact for artifact in artifacts}
    for target in targets:
        if target not in known:
            raise OptionError("--target", "name", f"a target of this bundle, one of {', '.join(known)}", repr(target))
    return tuple(known[target] for target in targets) if targets else artifacts


def _single(file: Path) -> Artifact:
    if not file.is_file():
        raise ModelError(
            str(file), "file", "an .onnx or .tflite file, or the folder of a bundle", "a folder" if file.is_dir() else "no such file"
        )
    return Artifact(file.name, file, "litert" if is_tflite(file) else "onnx")
