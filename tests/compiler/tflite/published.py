"""The published models as the lowering gets them: in normal form, with a plan made from a few samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import onnx

from compiler.graph.normalise import normalise
from compiler.importers.onnx import import_onnx
from compiler.quantize.calibrate import calibrate
from compiler.quantize.plan import Plan
from tests.shared_data import shared_file
from tests.sim.float_plan import Feed

Floats = npt.NDArray[np.float32]

FILES = {
    "kws01": ("kws01/derived_dscnn_float.onnx", "kws01/dscnn_int8_ref.tflite"),
    "vww01": ("vww01/derived_mobilenetv1_025_96_float.onnx", "vww01/mobilenetv1_025_96_int8_ref.tflite"),
    "ic01": ("ic01/derived_resnet8_float.onnx", "ic01/resnet8_int8_ref.tflite"),
    "ad01": ("ad01/derived_autoencoder_float.onnx", "ad01/autoencoder_int8_ref.tflite"),
    "mnist": ("mnist/mnist_cnn_float.onnx", ""),
}


@dataclass(frozen=True)
class Published:
    """One model, its plan, and samples that the plan was not made from."""

    model: onnx.ModelProto
    plan: Plan
    samples: tuple[Feed, ...]


@cache
def published(name: str) -> Published:
    """Return a model with recorded samples where there are any, else with seeded noise in the range of its inputs."""
    model = normalise(import_onnx(shared_file(FILES[name][0])))
    value = model.graph.input[0]
    shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    calibration, samples = _samples(name, shape)
    as_feeds: tuple[list[Feed], list[Feed]] = [{value.name: each} for each in calibration], [{value.name: each} for each in samples]
    return Published(model, calibrate(model, as_feeds[0], len(as_feeds[0]), "minmax").plan, tuple(as_feeds[1]))


def evaluation(name: str) -> tuple[list[Floats], npt.NDArray[np.int64]]:
    """Return the float inputs of a recorded evaluation set, and their classes."""
    with np.load(shared_file(f"{name}/eval.npz")) as file:
        return [_prepared(name, sample) for sample in file["x"]], file["y"]


def _samples(name: str, shape: tuple[int, ...]) -> tuple[list[Floats], ...]:
    if name in {"kws01", "mnist"}:
        with np.load(shared_file(f"{name}/calib.npz")) as file:
            recorded = [_prepared(name, sample) for sample in file["x"][:100]]
        return recorded, evaluation(name)[0][:40]
    random = np.random.default_rng(5)
    highest = {"ic01": 255.0, "vww01": 1.0, "ad01": 1.0}[name]
    noise = [_smooth(random.uniform(0, 1, shape).astype(np.float32)) * np.float32(highest) for _ in range(30)]
    return noise[:20], noise[20:]


def _smooth(noise: Floats) -> Floats:
    """Neighbours of an image resemble each other."""
    smooth = noise
    for axis in range(1, noise.ndim):
        smooth = ((smooth + np.roll(smooth, 1, axis)) / 2).astype(np.float32)
    return smooth


def _prepared(name: str, sample: npt.NDArray[np.generic]) -> Floats:
    """Follow the preprocessing that the data's own description gives."""
    values = sample.astype(np.float32)
    if name == "kws01":
        features: Floats = ((values - 83) * np.float32(0.5847029))[None]
        return features
    image: Floats = ((values / 255 - np.float32(0.1307)) / np.float32(0.3081))[None, None]
    return image
