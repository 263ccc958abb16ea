"""The command on models that are no classifiers, on samples that are no archive, and with metrics that need no label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from contracts.bundle import read_bundle
from contracts.manifest import Artifact
from contracts.postprocess import Boxes
from tests.compiler.material import CLASSES, classifier, images, run, save_npz
from tests.shared_data import shared_file

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'fieldfare[vision]'")

Capture = pytest.CaptureFixture[str]
TO_INPUT = "resize=8x8,scale=0.00392157,mean=0.5:0.5:0.5,std=0.5:0.5:0.5,layout=CHW"


def compiled(folder: Path, capsys: Capture, model: Path, *options: str) -> Artifact:
    """Compile for one target and return its artifact."""
    status, _, complaint = run(["compile", str(model), "--target", "cpu", "-o", str(folder / "bundle"), *options], capsys)
    assert (status, complaint) == (0, "")
    return read_bundle(folder / "bundle").artifacts["cpu"]


def refused(folder: Path, capsys: Capture, model: Path, *options: str) -> str:
    status, _, complaint = run(["compile", str(model), "--target", "cpu", "-o", str(folder / "bundle"), *options], capsys)
    assert status == 2
    assert not (folder / "bundle").exists()
    return complaint


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(classifier(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def image_folder(folder: Path, count: int, seed: int) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(images(count, seed=seed, shape=(12, 16, 3))):
        assert cv2.imwrite(str(folder / f"{number:03}.png"), pixels)
    return folder


def test_a_folder_of_images_calibrates_and_judges_and_callers_send_whole_images(model: Path, tmp_path: Path, capsys: Capture) -> None:
    calibration, evaluation = image_folder(tmp_path / "some", 12, seed=1), image_folder(tmp_path / "others", 40, seed=2)
    names = [f"{number:03}.png,{('north', 'east', 'south', 'west')[number % CLASSES]}" for number in range(40)]
    (evaluation / "labels.csv").write_text("\n".join(names))
    (tmp_path / "labels.txt").write_text("north\neast\nsouth\nwest\n")
    data = ("--calibration", str(calibration), "--evaluation", str(evaluation), "--labels", str(tmp_path / "labels.txt"))
    artifact = compiled(tmp_path, capsys, model, *data, "--preprocess", TO_INPUT, "--max-drop", "0.5", "--metric", "f1")
    manifest = read_bundle(tmp_path / "bundle")
    assert (manifest.inputs[0].datatype, manifest.inputs[0].shape) == ("UINT8", (1, 12, 16, 3))
    assert artifact.inputs[0].shape == (1, 3, 8, 8)
    with np.load(tmp_path / "bundle" / manifest.golden_inputs) as golden:
        assert manifest.preprocess.prepare(golden["image"][:1], artifact.inputs[0]).shape == (1, 3, 8, 8)
    assert (artifact.gate.metric, artifact.gate.truth, artifact.gate.interval) == ("f1", "labels", "bootstrap")


def samples(folder: Path, **labels: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> tuple[str, ...]:
    calibration = save_npz(folder / "calibration.npz", x=images(20, seed=1))
    evaluation = save_npz(folder / "evaluation.npz", x=images(60, seed=2), **labels)
    return "--calibration", str(calibration), "--evaluation", str(evaluation), "--preprocess", "scale=0.00392157"


def test_what_has_no_labels_is_measured_against_the_float_model_and_says_so(model: Path, tmp_path: Path, capsys: Capture) -> None:
    command = ["compile", str(model), "--target", "cpu", *samples(tmp_path), "--metric", "cosine", "-o", str(tmp_path / "bundle")]
    status, printed, _ = run(command, capsys)
    assert status == 0
    assert "Nothing is labelled" in printed
    gate = read_bundle(tmp_path / "bundle").artifacts["cpu"].gate
    assert (gate.truth, gate.float_value, gate.worst_class) == ("float", 1.0, None)
    assert 0.99 < gate.compiled_value < 1.0
    assert gate.flips is not None
    assert gate.flips.lost is None
    assert "Nothing is labelled" in (tmp_path / "bundle" / "report.html").read_text()


def test_the_signed_evidence_names_what_judged_and_what_it_found(model: Path, tmp_path: Path, capsys: Capture) -> None:
    gate = compiled(tmp_path, capsys, model, *samples(tmp_path, y=np.arange(60) % CLASSES), "--declared", "0.25", "--max-drop", "0.3").gate
    report = json.loads((tmp_path / "bundle" / "report.json").read_text())
    assert gate.judged_by is not None
    assert gate.judged_by.startswith("onnxruntime ")
    assert (gate.declared, gate.interval) == (0.25, "newcombe")
    assert gate.worst_class is not None
    assert gate.flips is not None
    assert (gate.calibration_sha256, gate.evaluation_sha256) == (report["calibration"]["sha256"], report["evaluation"]["sha256"])
    target = report["targets"]["cpu"]
    assert target["flips"]["changed"] == gate.flips.changed
    assert sum(map(sum, target["confusion"])) == 60
    assert {placed["operator"] for placed in target["placement"]} >= {"Conv", "Gemm"}


def test_a_float_model_that_is_not_what_it_was_declared_to_be_is_refused(model: Path, tmp_path: Path, capsys: Capture) -> None:
    complaint = refused(tmp_path, capsys, model, *samples(tmp_path, y=np.arange(60) % CLASSES), "--declared", "0.9")
    assert "evaluation.npz: the float model: expected top1 0.9 as declared, found 0." in complaint
    assert "check --preprocess (scale, channels, layout) and labels" in complaint


def test_values_are_measured_against_labels_of_their_own_shape(model: Path, tmp_path: Path, capsys: Capture) -> None:
    targets = np.random.default_rng(3).normal(size=(60, CLASSES))
    gate = compiled(tmp_path, capsys, model, *samples(tmp_path, y=targets), "--metric", "mae", "--max-drop", "5").gate
    assert (gate.truth, gate.verdict) == ("labels", "proven")
    complaint = refused(tmp_path / "other", capsys, model, *samples(tmp_path, y=np.zeros(60)), "--metric", "mae")
    assert "y: expected 4 real values for each sample; without y the float model's own outputs stand in" in complaint


def test_samples_and_metric_may_be_the_users_own_python(
    model: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "field_data.py").write_text(
        "import numpy as np\n"
        "def some(seed=1, count=20):\n"
        "    images = np.random.default_rng(seed).random((count, 3, 8, 8), np.float32)\n"
        "    return [(image, number % 4) for number, image in enumerate(images)]\n"
        "def others():\n"
        "    yield from some(2, 50)\n"
        "def score(result, label):\n"
        "    return -abs(float(result[0, int(label)]))\n"
    )
    monkeypatch.chdir(tmp_path)
    data = ("--calibration", "field_data:some", "--evaluation", "field_data:others")
    gate = compiled(tmp_path, capsys, model, *data, "--metric", "field_data:score", "--max-drop", "0.5").gate
    assert (gate.metric, gate.samples, gate.interval) == ("field_data:score", 50, "bootstrap")


def tokens_model() -> onnx.ModelProto:
    """Return a model of two integer inputs: the mean embedding of the words that the mask keeps, and a dense layer."""
    random = np.random.default_rng(0)
    weights = {"table": random.normal(size=(50, 16)), "dense": random.normal(size=(16, 3))}
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    constants.append(numpy_helper.from_array(np.array([2], np.int64), "last"))
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("Cast", ["mask"], ["keep"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["keep", "last"], ["wide"]),
        helper.make_node("Mul", ["words", "wide"], ["kept"]),
        helper.make_node("ReduceMean", ["kept"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "dense"], ["scores"]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ("batch", 6)) for name in ("ids", "mask")]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("batch", 3))
    return helper.make_model(
        helper.make_graph(nodes, "words", inputs, [output], constants), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )


def sentences(count: int, seed: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    random = np.random.default_rng(seed)
    return {"ids": random.integers(0, 50, (count, 6)), "mask": random.integers(0, 2, (count, 6))}


def test_a_model_of_several_inputs_of_integers_is_judged_like_any_other(tmp_path: Path, capsys: Capture) -> None:
    onnx.save(tokens_model(), tmp_path / "words.onnx")
    data = (
        *("--calibration", str(save_npz(tmp_path / "calibration.npz", **sentences(30, 1)))),
        *("--evaluation", str(save_npz(tmp_path / "evaluation.npz", **sentences(200, 2)))),
    )
    artifact = compiled(tmp_path, capsys, tmp_path / "words.onnx", *data, "--metric", "r2", "--max-drop", "0.05")
    manifest = read_bundle(tmp_path / "bundle")
    assert [(spec.name, spec.datatype, spec.shape) for spec in manifest.inputs] == [("ids", "INT64", (1, 6)), ("mask", "INT64", (1, 6))]
    assert artifact.inputs == manifest.inputs
    assert artifact.gate.compiled_value > 0.95


def test_a_detector_is_judged_by_the_boxes_it_finds_and_the_device_repeats_them(tmp_path: Path, capsys: Capture) -> None:
    """The labels are what the float model finds in crops of photos: it must score 1, and the compiled model close to it."""
    model = shared_file("detection/FastestDet.onnx")
    postprocess = "boxes=grid,threshold=0.4,limit=20"
    evaluation = crops(24, seed=2)
    data = (
        *("--calibration", str(save_npz(tmp_path / "calibration.npz", x=crops(8, seed=1)))),
        *("--evaluation", str(save_npz(tmp_path / "evaluation.npz", x=evaluation, y=found_by(model, evaluation, postprocess)))),
        *("--preprocess", "scale=0.00392157,channels=BGR,layout=CHW", "--postprocess", postprocess),
    )
    artifact = compiled(tmp_path, capsys, model, *data, "--metric", "map50", "--max-drop", "0.3", "--declared", "1.0")
    assert artifact.gate.float_value == pytest.approx(1.0)
    assert artifact.gate.compiled_value > 0.7
    manifest = read_bundle(tmp_path / "bundle")
    assert isinstance(manifest.postprocess, Boxes)
    assert artifact.golden_results is not None
    with (
        np.load(tmp_path / "bundle" / artifact.golden_outputs) as outputs,
        np.load(tmp_path / "bundle" / artifact.golden_results) as results,
    ):
        [spec] = artifact.outputs
        for number, values in enumerate(outputs[spec.name]):
            made = manifest.postprocess.apply({spec.name: values.reshape(spec.shape)})
            assert all(np.array_equal(made[name][0], results[name][number]) for name in ("boxes", "scores", "classes"))


def crops(count: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return random squares of the photos, 352x352 RGB."""
    photos = [cv2.imread(str(shared_file(f"photos/{name}.jpg")))[..., ::-1] for name in ("cat_720p", "hot_dog", "owl", "parrot")]
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        photo = photos[number % 4]
        side = int(random.integers(min(photo.shape[:2]) // 2, min(photo.shape[:2])))
        top, left = (int(random.integers(0, size - side + 1)) for size in photo.shape[:2])
        found.append(cv2.resize(np.ascontiguousarray(photo[top : top + side, left : left + side]), (352, 352)))
    return np.stack(found)


def found_by(
    model: Path, pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], postprocess: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return what the float model finds, as labels [n, 20, 5]."""
    from compiler.evaluate.runner import Runner
    from contracts.postprocess import parse_postprocess
    from contracts.preprocess import Preprocess

    runner, decode = Runner("float", model.read_bytes(), {}), parse_postprocess(postprocess)
    assert decode is not None
    preprocess = Preprocess.parse("scale=0.00392157,channels=BGR,layout=CHW")
    labels = []
    for picture in pictures:
        outputs = runner.infer({onnx.load(model).graph.input[0].name: preprocess.apply(picture[None])})
        results = decode.apply(outputs)
        labels.append(np.concatenate([results["boxes"][0], results["classes"][0][:, None]], axis=1))
    return np.stack(labels).astype(np.float32)


def test_a_detector_without_boxes_cannot_be_judged_by_boxes(model: Path, tmp_path: Path, capsys: Capture) -> None:
    complaint = refused(tmp_path, capsys, model, *samples(tmp_path, y=np.arange(60) % CLASSES), "--metric", "map50")
    assert "--metric: map50: expected a --postprocess that makes boxes" in complaint


def test_boxes_have_no_top_class(model: Path, tmp_path: Path, capsys: Capture) -> None:
    data = samples(tmp_path, y=np.arange(60) % CLASSES)
    assert "--metric: top1: expected map50 or a metric of values" in refused(tmp_path, capsys, model, *data, "--postprocess", "boxes=grid")


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("top5", "a model of at least 6 classes"), ("anomaly-auc", "an autoencoder, whose output is its input again")],
)
def test_a_metric_that_means_nothing_for_a_model_is_refused(
    metric: str, expected: str, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert expected in refused(tmp_path, capsys, model, *samples(tmp_path, y=np.arange(60) % CLASSES), "--metric", metric)


def test_an_autoencoder_is_judged_by_what_it_cannot_reconstruct(tmp_path: Path, capsys: Capture) -> None:
    random = np.random.default_rng(6)
    model = shared_file("ad01/derived_autoencoder_float.onnx")
    levels = random.normal(-15, 6, size=(1, 1, 128)) + random.normal(0, 2, size=(260, 5, 128))
    strange = np.arange(260) % 2 == 1
    levels[strange] += random.normal(0, 8, size=(130, 5, 128))
    windows = levels.reshape(260, 640).astype(np.float32)
    data = (
        *("--calibration", str(save_npz(tmp_path / "calibration.npz", x=windows[:60]))),
        *("--evaluation", str(save_npz(tmp_path / "evaluation.npz", x=windows[60:], y=strange[60:].astype(np.int64)))),
    )
    gate = compiled(tmp_path, capsys, model, *data, "--metric", "anomaly-auc", "--max-drop", "0.05").gate
    assert gate.float_value > 0.9
    assert gate.drop < 0.02
