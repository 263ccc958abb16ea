"""What devices are asked to run: published integer models with inputs of ours, and bundles compiled here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tests.shared_data import shared_file

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
COMPILE_S = 600
# Quantized by their publishers.
PUBLISHED = (
    "ad01/autoencoder_int8_ref.tflite",
    "ic01/resnet8_int8_ref.tflite",
    "imagenet/mobilenet_v1_0.25_128_quant.tflite",
    "kws01/dscnn_int8_ref.tflite",
)
SHUFFLENET = "imagenet/shufflenet-v2-12-int8.onnx"
TARGETS = ("cpu", "coral", "jetson-orin", "rpi4:tflite-int8", "rpi5")


def gather(folder: Path) -> None:
    """Lay models and bundles out below `folder`, as `answers` expects them."""
    models = folder / "models"
    models.mkdir(parents=True)
    for name in PUBLISHED:
        _with_inputs(shared_file(name), models)
    shutil.copy(shared_file(SHUFFLENET), models)
    sample = onnx.load_tensor(shared_file("imagenet/shufflenet_test_data_set_0/input_0.pb"))
    np.savez(models / Path(SHUFFLENET).with_suffix(".npz").name, input=numpy_helper.to_array(sample))
    compile_digits(folder / "bundles" / "digits")


def compile_digits(bundle: Path) -> None:
    """Compile the example for every kind of device."""
    command = [sys.executable, "-m", "cli", "compile", str(DIGITS / "digits.onnx"), "--output", str(bundle)]
    command += ["--calibration", str(DIGITS / "calibration.npz"), "--evaluation", str(DIGITS / "evaluation.npz")]
    command += ["--preprocess", "scale=0.0625", "--metric", "top1", "--max-drop", "0.02", "--labels", str(DIGITS / "labels.txt")]
    command += [word for target in TARGETS for word in ("--target", target)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMPILE_S, check=False)
    assert done.returncode == 0, done.stdout


def _with_inputs(file: Path, models: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    shutil.copy(file, models)
    chance = np.random.default_rng(7)
    interpreter = Interpreter(model_path=str(file), num_threads=1)
    inputs = {}
    for detail in interpreter.get_input_details():
        kind = np.iinfo(detail["dtype"])
        inputs[detail["name"]] = chance.integers(kind.min, kind.max, size=detail["shape"], endpoint=True, dtype=detail["dtype"])
    np.savez(models / file.with_suffix(".npz").name, **inputs)
