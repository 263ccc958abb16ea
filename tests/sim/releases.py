"""Releases of no real model: true manifests over bytes that differ with their number."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.bundle import file_entry
from contracts.manifest import Artifact, GateEvidence, Manifest, Tolerance
from contracts.messages import ReleaseRef
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec


@dataclass(frozen=True)
class Release:
    """A release as the fleet holds it."""

    manifest: Manifest
    files: dict[str, bytes]

    @property
    def ref(self) -> ReleaseRef:
        """Its identity."""
        return ReleaseRef(model=self.manifest.name, release=self.manifest.release, manifest_sha256=self.manifest.sha256)


def make_release(number: int, *, model: str = "digits", targets: tuple[str, ...] = ("cpu",), size: int = 600_000) -> Release:
    """Return a release of no real model; its bytes differ with its number."""
    tensor = TensorSpec(name="x", datatype="FP32", shape=(1, 4))
    files = {"golden/inputs.npz": b"inputs", **{f"artifacts/{target}/golden.npz": b"outputs" for target in targets}}
    files |= {f"artifacts/{target}/model.onnx": (f"{model} {number} {target} ".encode() * size)[:size] for target in targets}
    gate = GateEvidence(
        metric="accuracy", float_value=1, compiled_value=1, drop=0, drop_upper=0, max_drop=0.01, samples=100, verdict="proven"
    )
    artifacts = {
        target: Artifact(
            runtime="onnx",
            precision="int8",
            file=f"artifacts/{target}/model.onnx",
            inputs=(tensor,),
            outputs=(tensor,),
            golden_outputs=f"artifacts/{target}/golden.npz",
            tolerance=Tolerance(absolute=0.1, same_argmax=True),
            gate=gate,
        )
        for target in targets
    }
    manifest = Manifest(
        name=model,
        release=number,
        inputs=(tensor,),
        preprocess=Preprocess(),
        golden_inputs="golden/inputs.npz",
        artifacts=artifacts,
        files={path: file_entry(raw) for path, raw in files.items()},
    )
    return Release(manifest, files)
