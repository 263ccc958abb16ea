"""Models as others published them, on real data: what every target may lose at most."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from compiler.lower.qdq import weight_integers
from compiler.lower.tensorrt_rules import lint
from contracts.bundle import read_bundle
from tests.compiler.material import run
from tests.shared_data import shared_file

TARGETS = ("cpu", "rpi5", "jetson-orin")
PUBLISHED = {
    "kws01": ("kws01/derived_dscnn_float.onnx", "mean=83,std=1.71027", 0.9000, 400, 0.005),
    "mnist": ("mnist/mnist_cnn_float.onnx", "scale=0.00392157,mean=0.1307,std=0.3081", 0.9896, 4500, 0.001),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_passes_the_gate_on_every_target(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, preprocess, float_share, samples, max_drop = PUBLISHED[name]
    data = ("--calibration", str(shared_file(f"{name}/calib.npz")), "--evaluation", str(shared_file(f"{name}/eval.npz")))
    targets = [word for target in TARGETS for word in ("--target", target)]
    command = ["compile", str(shared_file(file)), *targets, *data, "--preprocess", preprocess, "--json", "-o", str(tmp_path / name)]
    status, printed, complaint = run(command, capsys)
    assert (status, complaint) == (0, "")
    report = json.loads(printed)
    for target in TARGETS:
        metric = report["targets"][target]["metric"]
        assert metric["float"] == pytest.approx(float_share, abs=0.0003)
        assert metric["drop"] <= max_drop
        assert metric["n"] == samples
    manifest = read_bundle(tmp_path / name)
    assert set(manifest.artifacts) == set(TARGETS)
    models = {target: onnx.load(tmp_path / name / artifact.file) for target, artifact in manifest.artifacts.items()}
    assert lint(models["jetson-orin"]) == []
    weights = [{layer: values.tobytes() for layer, values in weight_integers(model).items()} for model in models.values()]
    assert weights[0]
    assert weights[0] == weights[1] == weights[2]


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (
            "face_onnx/version-RFB-320.onnx",
            "--metric: top1: expected a model with one output, one score for each class, found outputs scores [1, 4420, 2], boxes",
        ),
        (
            "detection/FastestDet.onnx",
            "--metric: top1: expected a model with one output, one score for each class, found outputs 758 [1, 85, 22, 22]",
        ),
        ("imagenet/shufflenet-v2-12-int8.onnx", "shufflenet-v2-12-int8.onnx: graph: expected a float model, as it was trained, found node"),
        ("imagenet/mobilenet_v2_1.0_224_quant.tflite", "expected a float model, as it was trained, found tensor"),
    ],
)
def test_a_model_this_gate_cannot_judge_is_refused_by_name(
    file: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = ("--calibration", str(shared_file("mnist/calib.npz")), "--evaluation", str(shared_file("mnist/eval.npz")))
    command = ["compile", str(shared_file(file)), "--target", "cpu", *samples, "-o", str(tmp_path / "bundle")]
    status, _, found = run(command, capsys)
    assert status == 2
    assert complaint in found
    assert list(tmp_path.iterdir()) == []
