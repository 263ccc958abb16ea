"""Few data in folds: every sample is judged once, by a plan that never saw it, and the evidence says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from compiler.errors import DataError
from compiler.evaluate.datasets import Samples, survey
from compiler.evaluate.examination import Examination
from compiler.evaluate.metrics import METRICS
from compiler.evaluate.npz import NpzSource
from compiler.evaluate.port import Array
from compiler.evaluate.runner import Runner
from compiler.folds import OutOfFold, fold_of, plan_folds
from compiler.graph.index import set_constant
from compiler.graph.interface import Interface, interface_of
from compiler.graph.normalise import normalise
from compiler.quantize.calibrate import calibrate
from contracts.bundle import read_bundle
from contracts.preprocess import Preprocess
from tests.compiler.material import CLASSES, DIGITS, classifier, images, run, save_npz

Capture = pytest.CaptureFixture[str]
FOLDS = 4


@pytest.fixture
def model() -> onnx.ModelProto:
    return normalise(classifier((1, 3, 8, 8)))


def few(folder: Path, model: onnx.ModelProto, pixels: Array | None = None, labels: Array | None = None) -> Samples:
    x = images(42, seed=3) if pixels is None else pixels
    y = np.arange(len(x)) % CLASSES if labels is None else labels
    file = save_npz(folder / "few.npz", x=x, y=y)
    return survey(NpzSource(file, ("image",)), interface(model), Preprocess(scale=1 / 255))


def interface(model: onnx.ModelProto) -> Interface:
    return interface_of(model, Path("model.onnx"))


def test_every_sample_is_in_one_fold_and_every_class_in_all(model: onnx.ModelProto, tmp_path: Path) -> None:
    samples = few(tmp_path, model)
    placed = fold_of(samples, FOLDS)
    assert samples.classes is not None
    table = np.array([np.bincount(samples.classes[placed == fold], minlength=CLASSES) for fold in range(FOLDS)])
    assert table.sum() == len(samples)
    assert table.min() >= 2
    assert np.ptp(table.sum(axis=1)) <= 1


def test_equal_samples_are_judged_together(model: onnx.ModelProto, tmp_path: Path) -> None:
    pixels = images(20, seed=3)
    twice = np.concatenate([pixels, pixels])
    placed = fold_of(few(tmp_path, model, twice, np.concatenate([np.arange(20) % CLASSES] * 2)), FOLDS)
    assert placed[:20].tolist() == placed[20:].tolist()


def test_a_samples_fold_does_not_depend_on_its_place(model: onnx.ModelProto, tmp_path: Path) -> None:
    pixels, labels = images(40, seed=3), np.arange(40) % CLASSES
    order = np.random.default_rng(0).permutation(40)
    placed = fold_of(few(tmp_path, model, pixels, labels), FOLDS)
    assert fold_of(few(tmp_path, model, pixels[order], labels[order]), FOLDS).tolist() == placed[order].tolist()


def test_a_folds_plan_is_that_of_the_other_samples_alone(model: onnx.ModelProto, tmp_path: Path) -> None:
    samples = few(tmp_path, model)
    folds = plan_folds(model, samples, FOLDS, "minmax", lambda numbers, _: numbers)
    feeds = list(samples.feeds())
    assert len(folds.plans) == FOLDS
    for fold, plan in enumerate(folds.plans):
        others = [feed for feed, placed in zip(feeds, folds.fold_of, strict=True) if placed != fold]
        assert plan == calibrate(model, others, len(others), "minmax").plan
    assert len({plan.model_dump_json() for plan in folds.plans}) > 1


def biased(model: onnx.ModelProto, favourite: int) -> Runner:
    """Return a model that takes everything for one class."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    set_constant(copy, "offset", 1e4 * np.eye(CLASSES, dtype=np.float32)[favourite])
    return Runner("biased", copy.SerializeToString(), {})


def test_each_sample_is_answered_by_its_folds_file_and_golden_ones_by_what_ships(model: onnx.ModelProto, tmp_path: Path) -> None:
    samples, shipped = few(tmp_path, model), Runner("shipped", model.SerializeToString(), {})
    folds = OutOfFold(fold_of(samples, FOLDS), ())
    examination = Examination(samples, METRICS["top1"], None, lambda: shipped)
    engines = [biased(model, fold) for fold in range(FOLDS)]
    record = folds.examine(examination, engines, shipped, lambda numbers, _: numbers, "cpu")
    assert record.decisions is not None
    assert record.decisions.tolist() == folds.fold_of.tolist()
    for golden, feed in zip(record.candidates, samples.feeds(), strict=True):
        assert np.array_equal(golden["scores"], shipped.infer(feed)["scores"])


def test_fewer_different_samples_than_folds_are_refused(model: onnx.ModelProto, tmp_path: Path) -> None:
    pixels = np.concatenate([images(3, seed=3)] * 4)
    with pytest.raises(DataError, match="at least 4 different samples for --folds 4, found 3"):
        fold_of(few(tmp_path, model, pixels), FOLDS)


def command(output: Path, *more: str) -> list[str]:
    data = ("--evaluation", str(DIGITS / "calibration.npz"), "--preprocess", "scale=0.0625")
    return ["compile", str(DIGITS / "digits.onnx"), "--target", "cpu", "--target", "coral", *data, "-o", str(output), *more]


def test_evidence_and_report_say_that_one_set_served_both_purposes(tmp_path: Path, capsys: Capture) -> None:
    status, printed, complaint = run(command(tmp_path / "bundle", "--folds", "3", "--max-drop", "0.1"), capsys)
    assert (status, complaint) == (0, "")
    assert "Judged in 3 folds" in printed
    report = json.loads((tmp_path / "bundle" / "report.json").read_text())
    assert report["folds"] == 3
    for artifact in read_bundle(tmp_path / "bundle").artifacts.values():
        assert artifact.gate.folds == 3
        assert artifact.gate.calibration_sha256 == artifact.gate.evaluation_sha256
        assert artifact.gate.samples == report["evaluation"]["samples"]


def test_what_ships_is_calibrated_on_all_samples(tmp_path: Path, capsys: Capture) -> None:
    options = ("--metric", "cosine", "--max-drop", "0.1")
    assert run(command(tmp_path / "folds", "--folds", "3", *options), capsys)[0] == 0
    apart = ["--evaluation", str(DIGITS / "evaluation.npz"), "--calibration", str(DIGITS / "calibration.npz")]
    assert run(command(tmp_path / "apart", *options, *apart), capsys)[0] == 0
    for file in ("plan.json", "artifacts/cpu/model.onnx", "artifacts/coral/model.tflite"):
        assert (tmp_path / "folds" / file).read_bytes() == (tmp_path / "apart" / file).read_bytes()
    assert "folds" not in (tmp_path / "apart" / "manifest.json").read_text()
    assert "folds" not in json.loads((tmp_path / "apart" / "report.json").read_text())


def test_a_second_set_beside_folds_is_refused(tmp_path: Path, capsys: Capture) -> None:
    both = command(tmp_path / "bundle", "--folds", "3", "--calibration", str(DIGITS / "calibration.npz"))
    status, _, complaint = run(both, capsys)
    assert status == 2
    assert "--calibration: samples: expected none with --folds 3, for --evaluation serves both purposes" in complaint
    assert not (tmp_path / "bundle").exists()
