"""Puts a compiled model into its bundle: artifacts, golden set, report, the manifest that names them all, and a page for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compiler.edgetpu.stage import EdgeTpuReport
from compiler.errors import OptionError
from compiler.graph.interface import Interface
from compiler.package.page import Speed, render_page
from compiler.package.report import Report, gate_evidence
from contracts.bundle import MANIFEST, file_entry, write_bundle
from contracts.manifest import Artifact, EdgeTpuBuild, Manifest
from contracts.names import Runtime
from contracts.tensors import TensorSpec

# Not named by the manifest: it tells of the hour and the host too, on which a release's identity must not depend.
PAGE = "report.html"
GOLDEN_INPUTS = "golden/inputs.npz"
SUFFIX: dict[Runtime, str] = {"onnx": "onnx", "litert": "tflite"}


@dataclass(frozen=True)
class Contents:
    """What the report does not hold: the files themselves, by target, and what callers send."""

    interface: Interface
    raw: tuple[TensorSpec, ...]
    plan: bytes
    models: Mapping[str, bytes]
    # The files that the gate judged, where others are shipped.
    judged: Mapping[str, bytes]
    golden_inputs: bytes
    golden_outputs: Mapping[str, bytes]
    # Empty where there is no postprocess.
    golden_results: Mapping[str, bytes]
    # For the page alone.
    speed: Speed


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
        **{_model_path(report, target): raw for target, raw in contents.models.items()},
        **{_judged_path(target): raw for target, raw in contents.judged.items()},
        **{_golden_path(target): raw for target, raw in contents.golden_outputs.items()},
        **{_results_path(target): raw for target, raw in contents.golden_results.items()},
    }
    manifest = Manifest(
        name=report.name,
        release=report.release,
        inputs=contents.raw,
        preprocess=report.preprocess,
        postprocess=report.postprocess,
        labels=report.labels,
        golden_inputs=GOLDEN_INPUTS,
        artifacts={name: _artifact(report, name, contents) for name in report.targets},
        files={path: file_entry(raw) for path, raw in files.items()},
    )
    try:
        write_bundle(folder, manifest, files, {PAGE: render_page(report, contents.speed).encode()})
    except OSError as error:
        raise OptionError("--output", str(folder), "a place that can be written", str(error)) from error
    return manifest


def _artifact(report: Report, name: str, contents: Contents) -> Artifact:
    target = report.targets[name]
    return Artifact(
        runtime=target.runtime,
        precision=target.precision,
        file=_model_path(report, name),
        session_options=target.session_options,
        inputs=contents.interface.inputs,
        outputs=contents.interface.outputs,
        golden_outputs=_golden_path(name),
        golden_results=_results_path(name) if name in contents.golden_results else None,
        tolerance=target.tolerance,
        gate=gate_evidence(report, target),
        edge_tpu=_edge_tpu(target.edge_tpu, name, contents) if target.edge_tpu else None,
    )


def _edge_tpu(report: EdgeTpuReport, name: str, contents: Contents) -> EdgeTpuBuild:
    version = report.log.version if report.log else None
    return EdgeTpuBuild(outcome=report.outcome, compiler=version, judged_file=_judged_path(name) if name in contents.judged else None)


def _model_path(report: Report, target: str) -> str:
    return f"artifacts/{target}/model.{SUFFIX[report.targets[target].runtime]}"


def _judged_path(target: str) -> str:
    return f"artifacts/{target}/judged.tflite"


def _golden_path(target: str) -> str:
    return f"golden/{target}.npz"


def _results_path(target: str) -> str:
    return f"golden/{target}.results.npz"
