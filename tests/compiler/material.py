"""Small real models and files of samples for the compiler's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import cli

ROOT = Path(__file__).parent.parent.parent
DIGITS = ROOT / "examples" / "digits"
CLASSES = 4


def digits_command(output: Path, *more: str) -> list[str]:
    """Return the arguments that compile the committed example for one target."""
    return [
        *("compile", str(DIGITS / "digits.onnx"), "--calibration", str(DIGITS / "calibration.npz")),
        *("--evaluation", str(DIGITS / "evaluation.npz"), "--preprocess", "scale=0.0625", "-o", str(output), *more),
    ]


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command in this process; return its status, what it printed and what it complained of."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    printed = capsys.readouterr()
    status = ended.value.code
    assert isinstance(status, int)
    return status, printed.out, printed.err


def classifier(shape: tuple[int | str, ...] = ("batch", 3, 8, 8), *, opset: int = 13, weights_are_inputs: bool = False) -> onnx.ModelProto:
    """Return a convolution, a mean and a dense layer with seeded random weights: `image` in, `scores` [n, 4] out."""
    random = np.random.default_rng(0)
    channels = shape[1]
    assert isinstance(channels, int)
    weights = {
        "kernel": random.normal(size=(8, channels, 3, 3)),
        "bias": random.normal(size=8),
        "dense": random.normal(size=(8, CLASSES)),
        "offset": random.normal(size=CLASSES),
    }
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["convolved"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["convolved"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "offset"], ["scores"]),
    ]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    if weights_are_inputs:
        inputs += [helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims) for tensor in tensors]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, (shape[0], CLASSES))
    graph = helper.make_graph(nodes, "classifier", inputs, [output], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3 if weights_are_inputs else 8)


def images(count: int, *, seed: int, shape: tuple[int, ...] = (3, 8, 8)) -> npt.NDArray[np.uint8]:
    """Return seeded random images."""
    return np.random.default_rng(seed).integers(0, 256, size=(count, *shape), dtype=np.uint8)


def save_npz(file: Path, **arrays: npt.NDArray[Any]) -> Path:
    """Write a file of samples."""
    np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy types the keyword allow_pickle together with the arrays
    return file
