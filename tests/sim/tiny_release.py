"""Makes a small, real release: a linear classifier of 4x4 pictures as ONNX, with its golden set, as the compiler would write it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from contracts.bundle import file_entry, write_bundle
from contracts.manifest import Artifact, GateEvidence, Manifest, Tolerance
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec

MODEL = "tiny"
LABELS = ("lark", "wren", "robin")
PREPROCESS = Preprocess(scale=1 / 255, mean=0.5, std=0.25)
RAW = TensorSpec(name="image", datatype="UINT8", shape=(1, 4, 4))
INNER = TensorSpec(name="image", datatype="FP32", shape=(1, 1, 4, 4))
SCORES = TensorSpec(name="scores", datatype="FP32", shape=(1, 3))
GATE = GateEvidence(
    metric="top-1", float_value=1.0, compiled_value=1.0, drop=0.0, drop_upper=0.01, max_drop=0.01, samples=100, verdict="proven"
)

Pictures = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TinyRelease:
    """What to write; change a field to make a release that is broken in one way."""

    release: int = 1
    seed: int = 7
    samples: int = 4
    # Added to the golden outputs: beyond 1e-4 the device seems to compute wrongly.
    golden_shift: float = 0.0
    # Replaces the model's bytes, under a digest that fits.
    model_bytes: bytes = field(default=b"", repr=False)
    # How often the input is multiplied by a 256x256 matrix first, to make inference slow.
    ballast: int = 0
    # Bytes of a weight that nothing uses, to make the file large.
    cargo: bytes = field(default=b"", repr=False)

    def pictures(self, count: int) -> Pictures:
        """Return raw samples, always the same ones."""
        return np.random.default_rng(3).integers(0, 256, (count, 4, 4), np.uint8)

    def scores(self, pictures: Pictures) -> Scores:
        """Return what the model answers, computed without any runtime."""
        logits = PREPROCESS.apply(pictures).reshape(-1, 16) @ self.weights()
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    def weights(self) -> Scores:
        """Return the classifier's matrix."""
        return np.random.default_rng(self.seed).normal(size=(16, 3)).astype(np.float32)

    def write(self, folder: Path) -> Manifest:
        """Write the bundle and return its manifest."""
        pictures = self.pictures(self.samples)
        files = {
            "artifacts/cpu/model.onnx": self.model_bytes or self._model().SerializeToString(),
            "golden/inputs.npz": npz({RAW.name: pictures}),
            "golden/cpu.npz": npz({SCORES.name: self.scores(pictures) + np.float32(self.golden_shift)}),
        }
        artifact = Artifact(
            runtime="onnx",
            precision="fp32",
            file="artifacts/cpu/model.onnx",
            inputs=(INNER,),
            outputs=(SCORES,),
            golden_outputs="golden/cpu.npz",
            tolerance=Tolerance(absolute=1e-4, same_argmax=True),
            gate=GATE,
        )
        manifest = Manifest(
            name=MODEL,
            release=self.release,
            inputs=(RAW,),
            preprocess=PREPROCESS,
            labels=LABELS,
            golden_inputs="golden/inputs.npz",
            artifacts={"cpu": artifact},
            files={path: file_entry(raw) for path, raw in files.items()},
        )
        write_bundle(folder, manifest, files)
        return manifest

    def _model(self) -> onnx.ModelProto:
        constants = [
            numpy_helper.from_array(np.array([1, 16], np.int64), "flat"),
            numpy_helper.from_array(self.weights(), "weights"),
        ]
        if self.cargo:
            constants.append(numpy_helper.from_array(np.frombuffer(self.cargo, np.int8), "cargo"))
        nodes = [helper.make_node("Reshape", ["image", "flat"], ["row"])]
        if self.ballast:
            constants.append(numpy_helper.from_array(np.zeros((256, 256), np.float32), "ballast"))
            constants.append(numpy_helper.from_array(np.zeros((16, 256), np.float32), "into"))
            constants.append(numpy_helper.from_array(np.zeros((256, 16), np.float32), "out"))
            nodes.append(helper.make_node("MatMul", ["row", "into"], ["wide_0"]))
            nodes += [helper.make_node("MatMul", [f"wide_{i}", "ballast"], [f"wide_{i + 1}"]) for i in range(self.ballast)]
            nodes.append(helper.make_node("MatMul", [f"wide_{self.ballast}", "out"], ["nothing"]))
            nodes.append(helper.make_node("Add", ["row", "nothing"], ["features"]))
        else:
            nodes.append(helper.make_node("Identity", ["row"], ["features"]))
        nodes.append(helper.make_node("MatMul", ["features", "weights"], ["logits"]))
        nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=1))
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(INNER.name, TensorProto.FLOAT, INNER.shape)],
            [helper.make_tensor_value_info(SCORES.name, TensorProto.FLOAT, SCORES.shape)],
            constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def npz(arrays: dict[str, npt.NDArray[np.generic]]) -> bytes:
    """Return the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    return buffer.getvalue()
