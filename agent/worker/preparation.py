"""Turns a release's folder into a model that is loaded, warm and proven on this device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

from agent.runtimes.loaders import LOADERS
from agent.runtimes.port import ModelSource
from agent.worker.errors import SetupError
from agent.worker.golden import GoldenSet, Verdict, check_results, read_golden, run_golden
from agent.worker.model import Model
from agent.worker.vigil import Vigil
from agent.worker_link import WorkerSetup
from contracts.bundle import MANIFEST, check_files, read_bounded
from contracts.manifest import MAX_MANIFEST_BYTES, Artifact, Manifest, decode_manifest

# Runtimes choose kernels and fill caches in their first calls.
WARM_UP_RUNS = 3
ENGINES = "engines"


@dataclass(frozen=True)
class Prepared:
    """A model, how long it took to load, and what the golden set says about it."""

    model: Model
    load_s: float
    verdict: Verdict
    vigil: Vigil


def prepare(setup: WorkerSetup) -> Prepared:
    """Load, warm up and prove; raise an error that names the file or runtime at fault."""
    folder = Path(setup.release_dir)
    started = monotonic()
    manifest = _read_manifest(folder, setup)
    artifact = manifest.artifacts[setup.target]
    # A card can rot between the day a release was fetched and the day its worker starts again.
    check_files(folder, manifest, manifest.paths_for(setup.target))
    source = _source(folder, artifact, setup)
    vigil = Vigil(LOADERS[artifact.runtime](source))
    model = Model(manifest, artifact, vigil)
    golden = read_golden(folder, manifest, artifact)
    infer = partial(model.infer, count=1)
    for _ in range(WARM_UP_RUNS):
        infer(golden.sample(0))
    vigil.forget_warm_up()
    load_s = monotonic() - started
    return Prepared(model, load_s, _proven(model, golden, folder), vigil)


def prove_again(prepared: Prepared, folder: Path) -> Verdict:
    """Run the golden set once more; raise SetupError when it cannot be read any more."""
    model = prepared.model
    return _proven(model, read_golden(folder, model.manifest, model.artifact), folder)


def _proven(model: Model, golden: GoldenSet, folder: Path) -> Verdict:
    verdict = run_golden(partial(model.infer, count=1), golden, model.artifact.tolerance)
    if verdict.passed and (reason := check_results(folder, model.manifest, model.artifact, golden)):
        return replace(verdict, passed=False, reason=reason)
    return verdict


def _source(folder: Path, artifact: Artifact, setup: WorkerSetup) -> ModelSource:
    judged = artifact.edge_tpu.judged_file if artifact.edge_tpu else None
    cpu_file = folder / judged if judged else None
    return ModelSource(folder / artifact.file, artifact, setup.target, setup.threads, folder / ENGINES, cpu_file)


def _read_manifest(folder: Path, setup: WorkerSetup) -> Manifest:
    manifest = decode_manifest(read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES), str(folder / MANIFEST))
    if manifest.name != setup.model:
        raise SetupError(str(folder / MANIFEST), f"model {setup.model}", manifest.name)
    if setup.target not in manifest.artifacts:
        raise SetupError(str(folder / MANIFEST), f"an artifact for {setup.target}", ", ".join(manifest.artifacts))
    return manifest
