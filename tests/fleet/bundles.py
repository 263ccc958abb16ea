"""Small bundles for the fleet's tests: real files, real digests, invented weights."""

from __future__ import annotations

import random
from pathlib import Path

from contracts.bundle import file_entry, write_bundle
from contracts.manifest import Artifact, GateEvidence, Manifest, Tolerance
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec


def make_bundle(folder: Path, *, release: int, model: str = "digits", targets: tuple[str, ...] = ("cpu",), size: int = 600_000) -> Manifest:
    """Write a bundle whose artifact for each target has `size` random bytes, three chunks by default."""
    chance = random.Random(f"{model} {release}")
    files = {"golden/inputs.npz": chance.randbytes(1000)}
    for target in targets:
        files[f"artifacts/{target}/model.onnx"] = chance.randbytes(size)
        files[f"golden/{target}.npz"] = chance.randbytes(500)
    manifest = Manifest(
        name=model,
        release=release,
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(1, 4)),),
        preprocess=Preprocess(),
        golden_inputs="golden/inputs.npz",
        artifacts={target: _artifact(target) for target in targets},
        files={path: file_entry(raw) for path, raw in files.items()},
    )
    write_bundle(folder, manifest, files)
    return manifest


def _artifact(target: str) -> Artifact:
    tensor = TensorSpec(name="x", datatype="FP32", shape=(1, 4))
    return Artifact(
        runtime="onnx",
        precision="int8",
        file=f"artifacts/{target}/model.onnx",
        inputs=(tensor,),
        outputs=(tensor,),
        golden_outputs=f"golden/{target}.npz",
        tolerance=Tolerance(absolute=0.01, same_argmax=True),
        gate=GateEvidence(
            metric="top1", float_value=0.97, compiled_value=0.96, drop=0.01, drop_upper=0.02, max_drop=0.02, samples=500, verdict="proven"
        ),
    )
