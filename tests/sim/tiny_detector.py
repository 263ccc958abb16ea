"""Makes a small, real release of a detector: it finds one box in the middle of any picture, as bright as the picture's brightest pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from contracts.bundle import file_entry, write_bundle
from contracts.manifest import Artifact, Manifest, Tolerance
from contracts.postprocess import Boxes
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec
from tests.sim.tiny_release import GATE, npz

DETECTOR = "finder"
PHOTO = TensorSpec(name="photo", datatype="UINT8", shape=(1, 4, 8, 1))
INNER = TensorSpec(name="photo", datatype="FP32", shape=(1, 1, 4, 4))
# The model's own output has the name that a result has too.
FOUND = TensorSpec(name="boxes", datatype="FP32", shape=(1, 6, 1))
LETTERBOX = Preprocess(scale=1 / 255, resize=(4, 4), letterbox=0.0, layout="CHW")
BOXES = Boxes(decoding="yolov8", size=(4, 4), threshold=0.5, limit=3)
# Centre and size in pixels of the input, and a score for each of two classes, all at full brightness.
ANSWER = np.array([2, 2, 2, 2, 0.25, 1], np.float32).reshape(1, 6, 1)


def write_detector(folder: Path) -> Manifest:
    """Write the bundle and return its manifest."""
    photo = np.full(PHOTO.shape, 255, np.uint8)
    nodes = [
        helper.make_node("ReduceMax", [PHOTO.name], ["brightest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["answer", "brightest"], [FOUND.name]),
    ]
    ends = [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in (INNER, FOUND)]
    graph = helper.make_graph(nodes, DETECTOR, ends[:1], ends[1:], [numpy_helper.from_array(ANSWER, "answer")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    view = LETTERBOX.view_for(PHOTO.shape, INNER)
    files = {
        "artifacts/cpu/model.onnx": model.SerializeToString(),
        "golden/inputs.npz": npz({PHOTO.name: photo}),
        "golden/cpu.npz": npz({FOUND.name: ANSWER}),
        "golden/cpu.results.npz": npz(dict(BOXES.apply({FOUND.name: ANSWER}, view))),
    }
    artifact = Artifact(
        runtime="onnx",
        precision="fp32",
        file="artifacts/cpu/model.onnx",
        inputs=(INNER,),
        outputs=(FOUND,),
        golden_outputs="golden/cpu.npz",
        golden_results="golden/cpu.results.npz",
        tolerance=Tolerance(absolute=1e-4, same_argmax=False),
        gate=GATE,
    )
    manifest = Manifest(
        name=DETECTOR,
        release=1,
        inputs=(PHOTO,),
        preprocess=LETTERBOX,
        postprocess=BOXES,
        golden_inputs="golden/inputs.npz",
        artifacts={"cpu": artifact},
        files={path: file_entry(raw) for path, raw in files.items()},
    )
    write_bundle(folder, manifest, files)
    return manifest
