"""PyTorch and Keras models, where these are installed: they compute the same as ONNX, and what is wrong with them is named."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from compiler.errors import ModelError
from compiler.importers import import_model

MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
        )

    def forward(self, image):
        return self.layers(image)

def build():
    return Net().eval()

def number():
    return 3

def broken():
    raise RuntimeError("the weights are missing")

def save():
    import numpy
    batch = {"image": {0: torch.export.Dim("batch")}}
    torch.export.save(torch.export.export(build(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=batch), "net.pt2")
    numpy.save("expected.npy", build()(torch.ones(1, 3, 16, 16)).detach().numpy())
"""
KERAS = """
import keras, numpy
keras.utils.set_random_seed(0)
layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu6"),
          keras.layers.BatchNormalization(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
net = keras.Sequential(layers)
net.save("net.keras")
net.save("net.h5")
net.export("folder")
numpy.save("expected.npy", net(numpy.ones((1, 8, 8, 3), "float32")).numpy())
"""
KERAS_SEQUENCES = """
import keras, numpy
from keras import layers
keras.utils.set_random_seed(0)
words = keras.Input((None, 4), name="words")
both = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(words)
seen = layers.LayerNormalization()(both + layers.MultiHeadAttention(2, 3)(both, both))
net = keras.Model(words, layers.Dense(2)(layers.GRU(5)(seen)))
net.save("net.keras")
net.export("folder", verbose=False)
numpy.save("expected.npy", net(numpy.ones((1, 6, 4), "float32")).numpy())
"""


def has(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)


needs_torch = pytest.mark.skipif(not has("torch", "onnxscript"), reason="torch is not installed: pip install 'fieldfare[torch]'")
needs_keras = pytest.mark.skipif(not has("tensorflow"), reason="TensorFlow is not installed: pip install 'fieldfare[keras]'")


def python(folder: Path, program: str) -> None:
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, timeout=200, capture_output=True)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be where the user's module lies."""
    (tmp_path / "shop.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_answers(source: str, folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    model = import_model(source, shapes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    found = session.run(None, {given.name: np.ones(given.shape, np.float32)})[0]
    assert np.allclose(found, np.load(folder / "expected.npy"), atol=1e-5)


@needs_torch
def test_a_module_and_an_exported_program_compute_what_torch_computes(module: Path) -> None:
    python(module, "import shop; shop.save()")
    check_answers("shop:build", module, {"image": (1, 3, 16, 16)})
    check_answers("net.pt2", module, {})


@needs_torch
@pytest.mark.parametrize(
    ("source", "shapes", "complaint"),
    [
        ("shop:build", {}, "inputs: expected a shape for each, as in --shape image=1x3x224x224, found none for image"),
        ("shop:build", {"x": (1, 3, 8, 8)}, "--shape: expected the name of an input, one of image, found x"),
        ("shop:number", {}, "result: expected a torch.nn.Module, found int"),
        ("shop:broken", {}, "RuntimeError: the weights are missing"),
        ("shop:nothing", {}, "expected a function that can be imported from here"),
        ("shop.py", {}, "expected an ONNX model"),
    ],
)
def test_a_module_that_cannot_be_exported_is_refused_by_name(
    source: str, shapes: dict[str, tuple[int, ...]], complaint: str, module: Path
) -> None:
    with pytest.raises(ModelError) as refused:
        import_model(source, shapes)
    assert complaint in str(refused.value)


@needs_torch
def test_a_damaged_program_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ModelError, match=r"net\.pt2: content: expected a program saved by torch\.export\.save"):
        import_model(str(tmp_path / "net.pt2"), {})


@needs_keras
def test_keras_files_and_folders_compute_what_keras_computes(tmp_path: Path) -> None:
    python(tmp_path, KERAS)
    for name in ("net.keras", "net.h5", "folder"):
        check_answers(str(tmp_path / name), tmp_path, {})


@needs_keras
def test_layers_that_go_through_a_sequence_are_unrolled_over_the_shape_that_is_given(tmp_path: Path) -> None:
    python(tmp_path, KERAS_SEQUENCES)
    check_answers(str(tmp_path / "net.keras"), tmp_path, {"words": (1, 6, 4)})
    with pytest.raises(ModelError, match=r"input words: expected a static shape but for the batch, or --shape as in words=1x224x4"):
        import_model(str(tmp_path / "net.keras"), {})
    with pytest.raises(ModelError, match=r"found a loop over a sequence; save the model as \.keras"):
        import_model(str(tmp_path / "folder"), {})


@needs_keras
@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_a_damaged_keras_file_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ModelError, match=r"content: expected a whole model of Keras's own layers"):
        import_model(str(tmp_path / name), {})


@pytest.mark.skipif(has("torch"), reason="torch is installed")
def test_without_torch_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(b"")
    with pytest.raises(ModelError, match=r"expected PyTorch to read it: pip install 'fieldfare\[torch\]', found no module torch"):
        import_model(str(tmp_path / "net.pt2"), {})


@pytest.mark.skipif(has("tensorflow"), reason="TensorFlow is installed")
def test_without_tensorflow_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"")
    with pytest.raises(ModelError, match=r"expected TensorFlow to read it: pip install 'fieldfare\[keras\]', found no module tensorflow"):
        import_model(str(tmp_path / "net.keras"), {})
