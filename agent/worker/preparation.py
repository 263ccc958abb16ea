"""Turns a release's folder into a model that is loaded, warm and proven on this device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

from agent.core.engines import DEVICE_FOLDER, ENGINE_LINK
from agent.runtimes.loaders import LOADERS
from agent.runtimes.port import ModelSource
from agent.worker.decisions import decisions_of
from agent.worker.errors import SetupError
from agent.worker.golden import GoldenSet, Verdict, check_results, read_golden, run_golden
from agent.worker.model import Model
from agent.worker.vigil import Vigil
from agent.worker_link import WorkerSetup
from contracts.agent_config import RuntimeSection
from contracts.bundle import MANIFEST, check_files
from contracts.manifest import MAX_MANIFEST_BYTES, Artifact, Manifest, decode_manifest
from contracts.small_files import read_bounded

# Runtimes choose kernels and fill caches in their first calls.
WARM_UP_RUNS = 3


@dataclass(frozen=True)
class Order:
    """Which model to load, and how."""

    model: str
    folder: Path
    target: str
    threads: int
    runtime: RuntimeSection
    # Where the engines built on this device are, or go.
    engine_dir: Path | None


@dataclass(frozen=True)
class Prepared:
    """A model, how long it took to load, and what the golden set says about it."""

    model: Model
    load_s: float
    verdict: Verdict
    vigil: Vigil


@dataclass(frozen=True)
class Warm:
    """A model that was run a few times, what it has to prove, and who watches its runtime."""

    model: Model
    golden: GoldenSet
    vigil: Vigil


def prepare(setup: WorkerSetup) -> Prepared:
    """Load, warm up and prove; raise an error that names the file or runtime at fault."""
    started = monotonic()
    folder = Path(setup.release_dir)
    engine_dir = folder / DEVICE_FOLDER / ENGINE_LINK
    known = engine_dir if engine_dir.is_dir() else None
    warm = load_warm(Order(setup.model, folder, setup.target, setup.threads, setup.runtime, known))
    load_s = monotonic() - started
    return Prepared(warm.model, load_s, proven(warm.model, warm.golden, folder), warm.vigil)


def prove_again(prepared: Prepared, folder: Path) -> Verdict:
    """Run the golden set once more; raise SetupError when it cannot be read any more."""
    model = prepared.model
    return proven(model, read_golden(folder, model.manifest, model.artifact), folder)


def load_warm(order: Order) -> Warm:
    """Load a model and run it a few times; raise an error that names the file or runtime at fault."""
    manifest = _read_manifest(order)
    artifact = manifest.artifacts[order.target]
    # A card can rot between the day a release was fetched and the day its worker starts again.
    check_files(order.folder, manifest, manifest.paths_for(order.target))
    vigil = Vigil(LOADERS[artifact.runtime](_source(order, artifact)))
    model = Model(manifest, artifact, vigil)
    golden = read_golden(order.folder, manifest, artifact)
    for _ in range(WARM_UP_RUNS):
        model.infer(golden.sample(0), count=1)
    vigil.forget_warm_up()
    return Warm(model, golden, vigil)


def proven(model: Model, golden: GoldenSet, folder: Path) -> Verdict:
    """Run a model's golden set, and check its results against the compiler's; raise SetupError when these cannot be read."""
    decisions = decisions_of(model.manifest, model.artifact)
    verdict = run_golden(partial(model.infer, count=1), golden, model.artifact.tolerance, decisions)
    if verdict.passed and (reason := check_results(folder, model.manifest, model.artifact, golden)):
        return replace(verdict, passed=False, reason=reason)
    return verdict


def _source(order: Order, artifact: Artifact) -> ModelSource:
    judged = artifact.edge_tpu.judged_file if artifact.edge_tpu else None
    cpu_file = order.folder / judged if judged else None
    return ModelSource(order.folder / artifact.file, artifact, order.target, order.threads, order.runtime, order.engine_dir, cpu_file)


def _read_manifest(order: Order) -> Manifest:
    name = str(order.folder / MANIFEST)
    manifest = decode_manifest(read_bounded(order.folder / MANIFEST, MAX_MANIFEST_BYTES), name)
    if manifest.name != order.model:
        raise SetupError(name, f"model {order.model}", manifest.name)
    if order.target not in manifest.artifacts:
        raise SetupError(name, f"an artifact for {order.target}", ", ".join(manifest.artifacts))
    return manifest
