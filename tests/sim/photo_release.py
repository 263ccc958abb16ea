"""Makes a release of a real public classifier of photos, byte for byte as its authors published it, with a golden set of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from contracts.affine import real
from contracts.bundle import file_entry, write_bundle
from contracts.manifest import Artifact, Manifest, Tolerance
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec
from tests.sim.tiny_release import GATE, npz

MODEL = "mobilenet"
SIDES = (224, 224)
RAW = TensorSpec(name="photo", datatype="UINT8", shape=(1, *SIDES, 3))


def write_photo_release(folder: Path, model: bytes, labels: tuple[str, ...]) -> Manifest:
    """Write the bundle of a .tflite file that takes RGB photos, from -1 to 1."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    photo = np.random.default_rng(5).integers(0, 256, RAW.shape, np.uint8)
    interpreter.set_tensor(taken["index"], photo)
    interpreter.invoke()
    scores = TensorSpec(name=given["name"], datatype="FP32", shape=tuple(given["shape"].tolist()))
    files = {
        "artifacts/cpu/model.tflite": model,
        "golden/inputs.npz": npz({RAW.name: photo}),
        "golden/cpu.npz": npz({scores.name: real(interpreter.get_tensor(given["index"]), *given["quantization"])}),
    }
    artifact = Artifact(
        runtime="litert",
        precision="int8",
        file="artifacts/cpu/model.tflite",
        inputs=(TensorSpec(name=taken["name"], datatype="FP32", shape=RAW.shape),),
        outputs=(scores,),
        golden_outputs="golden/cpu.npz",
        # On noise public kernels are far from each other; what is on a photograph they agree on.
        tolerance=Tolerance(absolute=1.0, same_argmax=False),
        gate=GATE,
    )
    manifest = Manifest(
        name=MODEL,
        release=1,
        inputs=(RAW,),
        preprocess=Preprocess(resize=SIDES, kernel="antialias", mean=128.0, std=128.0),
        labels=labels,
        golden_inputs="golden/inputs.npz",
        artifacts={"cpu": artifact},
        files={path: file_entry(raw) for path, raw in files.items()},
    )
    write_bundle(folder, manifest, files)
    return manifest
