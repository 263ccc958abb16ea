"""Puts a compiled model into its bundle: artifacts, golden set, report, and the manifest that names them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compiler.errors import OptionError
from compiler.graph.interface import Interface
from compiler.package.page import render_page
from compiler.package.report import Report, TargetReport, gate_evidence
from contracts.bundle import MANIFEST, file_entry, write_bundle
from contracts.manifest import Artifact, Manifest
from contracts.tensors import Datatype, TensorSpec

GOLDEN_INPUTS = "golden/inputs.npz"


@dataclass(frozen=True)
class Contents:
    """What the report does not hold: the files themselves, by target, and what callers send."""

    interface: Interface
    raw_datatype: Datatype
    labels: tuple[str, ...]
    plan: bytes
    models: Mapping[str, bytes]
    golden_inputs: bytes
    golden_outputs: Mapping[str, bytes]


def check_replaceable(folder: Path) -> None:
    """Raise OptionError unless `folder` is free, empty or an older bundle: nothing else is ever replaced."""
    is_free = folder.is_dir() and ((folder / MANIFEST).is_file() or not any(folder.iterdir()))
    if folder.exists() and not is_free:
        raise OptionError("--output", str(folder), "a new folder, or a bundle to replace", "something else")


def write(folder: Path, report: Report, contents: Contents) -> Manifest:
    """Write the bundle whole or not at all, and return its manifest; raise OptionError where it cannot be written."""
    files = {
        GOLDEN_INPUTS: contents.golden_inputs,
        "plan.json": contents.plan,
        "report.json": report.to_json().encode(),
        "report.html": render_page(report).encode(),
        **{_model_path(target): raw for target, raw in contents.models.items()},
        **{_golden_path(target): raw for target, raw in contents.golden_outputs.items()},
    }
    source = contents.interface.input
    manifest = Manifest(
        name=report.name,
        release=report.release,
        inputs=(TensorSpec(name=source.name, datatype=contents.raw_datatype, shape=source.shape),),
        preprocess=report.preprocess,
        labels=contents.labels,
        golden_inputs=GOLDEN_INPUTS,
        artifacts={name: _artifact(name, target, contents.interface, report.max_drop) for name, target in report.targets.items()},
        files={path: file_entry(raw) for path, raw in files.items()},
    )
    try:
        write_bundle(folder, manifest, files)
    except OSError as error:
        raise OptionError("--output", str(folder), "a place that can be written", str(error)) from error
    return manifest


def _artifact(name: str, target: TargetReport, interface: Interface, max_drop: float) -> Artifact:
    return Artifact(
        runtime=target.runtime,
        precision=target.precision,
        file=_model_path(name),
        session_options=target.session_options,
        inputs=(interface.input,),
        outputs=(interface.output,),
        golden_outputs=_golden_path(name),
        tolerance=target.tolerance,
        gate=gate_evidence(target.metric, target.verdict, max_drop),
    )


def _model_path(target: str) -> str:
    return f"artifacts/{target}/model.onnx"


def _golden_path(target: str) -> str:
    return f"golden/{target}.npz"
