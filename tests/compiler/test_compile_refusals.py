"""Bad input ends in one line that names file, field, expected and found, in status 2, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tests.compiler.material import CLASSES, classifier, images, run, save_npz


class Case:
    """A folder with a good model and good samples, of which a test spoils one."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.model = folder / "model.onnx"
        onnx.save(classifier(), self.model)
        self.options: dict[str, str | None] = {
            "--target": "cpu",
            "--calibration": str(save_npz(folder / "calibration.npz", x=images(20, seed=1))),
            "--evaluation": str(save_npz(folder / "evaluation.npz", x=images(30, seed=2), y=np.arange(30) % CLASSES)),
            "--max-drop": "0.5",
            "-o": str(folder / "bundle"),
        }
        self._capsys = capsys

    def calibrate_with(self, **arrays: npt.NDArray[Any]) -> None:
        save_npz(self.folder / "calibration.npz", **arrays)

    def evaluate_with(self, **arrays: npt.NDArray[Any]) -> None:
        save_npz(self.folder / "evaluation.npz", **arrays)

    def compile(self, *more: str) -> tuple[int, str]:
        """Return status and complaint; `more` are options beside the folder's own."""
        before = sorted(self.folder.rglob("*"))
        options = [word for option, value in self.options.items() if value is not None for word in (option, value)]
        status, _, complaint = run(["compile", str(self.model), *options, *more], self._capsys)
        if status != 0:
            assert sorted(self.folder.rglob("*")) == before
        return status, complaint

    def refused(self, *more: str) -> str:
        """Return the one line of a refusal for bad input."""
        status, complaint = self.compile(*more)
        assert status == 2
        assert complaint.startswith("error: ")
        assert complaint.count("\n") == 1
        return complaint


@pytest.fixture
def case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Case:
    return Case(tmp_path, capsys)


def test_the_unspoilt_case_compiles(case: Case) -> None:
    assert case.compile() == (0, "")
    assert (case.folder / "bundle" / "manifest.json").is_file()


def test_a_missing_model_is_named(case: Case) -> None:
    case.model.unlink()
    assert "model.onnx: file: expected an ONNX model, found no such file" in case.refused()


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nnot a model at all", b"{}", bytes(1000)])
def test_a_file_that_is_no_onnx_model_is_named(case: Case, content: bytes) -> None:
    case.model.write_bytes(content)
    assert "model.onnx: " in case.refused()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_model_is_named(case: Case, share: float) -> None:
    whole = case.model.read_bytes()
    case.model.write_bytes(whole[: int(len(whole) * share)])
    assert "model.onnx: " in case.refused()


def test_no_calibration_data_is_refused_by_the_options_name(case: Case) -> None:
    case.options["--calibration"] = None
    assert "--calibration: samples: expected an .npz with x, a folder of images, or module:callable that yields samples" in case.refused()


def test_no_evaluation_data_is_refused_by_the_options_name(case: Case) -> None:
    case.options["--evaluation"] = None
    assert "--evaluation: samples: expected an .npz with x, a folder of images, or module:callable that yields samples" in case.refused()


def test_no_target_is_refused_with_the_names_to_choose_from(case: Case) -> None:
    case.options["--target"] = None
    complaint = case.refused()
    assert "--target: name: expected at least one of" in complaint
    assert "jetson-orin" in complaint


def test_an_unknown_target_is_refused_with_the_names_to_choose_from(case: Case) -> None:
    case.options["--target"] = "rpi9"
    complaint = case.refused()
    assert "rpi5" in complaint
    assert "found 'rpi9'" in complaint


def test_a_lowering_that_a_target_does_not_have_is_refused_with_those_it_has(case: Case) -> None:
    case.options["--target"] = "coral:tensorrt-int8"
    expected = "expected one of tflite-edgetpu, tflite-int8 after the colon, found 'tensorrt-int8'"
    assert f"--target: coral:tensorrt-int8: {expected}" in case.refused()


def test_samples_of_another_shape_are_refused_with_both_shapes(case: Case) -> None:
    case.evaluate_with(x=images(30, seed=2, shape=(8, 8, 3)), y=np.arange(30) % CLASSES)
    complaint = case.refused()
    assert "evaluation.npz: x: expected samples of shape [3, 8, 8] for input image, found shape [8, 8, 3]" in complaint


def test_samples_that_lack_only_axes_of_length_one_are_taken(case: Case) -> None:
    onnx.save(classifier(("batch", 1, 8, 8)), case.model)
    case.calibrate_with(x=images(20, seed=1, shape=(8, 8)))
    case.evaluate_with(x=images(30, seed=2, shape=(8, 8, 1)), y=np.arange(30) % CLASSES)
    assert case.compile() == (0, "")


def test_evaluation_without_labels_is_refused(case: Case) -> None:
    case.evaluate_with(x=images(30, seed=2))
    complaint = case.refused()
    assert "evaluation.npz: y: expected class indexes 0 to 3, one for each sample" in complaint
    assert "(metrics that need none: mae, mse, r2, cosine), found none" in complaint


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.full(30, CLASSES), "found 4"),
        (np.full(30, -1), "found -1"),
        (np.zeros(29, dtype=np.int64), "found int64 of shape [29]"),
        (np.zeros(30), "found float64 0.0 for sample 0"),
    ],
)
def test_labels_that_name_no_class_are_refused(case: Case, labels: npt.NDArray[Any], found: str) -> None:
    case.evaluate_with(x=images(30, seed=2), y=labels)
    complaint = case.refused()
    assert "evaluation.npz: y: " in complaint
    assert found in complaint


def test_a_sample_that_calibrates_and_judges_is_refused_with_its_place_in_both(case: Case) -> None:
    judging = images(30, seed=2)
    calibrating = images(20, seed=1)
    calibrating[7] = judging[11]
    case.calibrate_with(x=calibrating)
    case.evaluate_with(x=judging, y=np.arange(30) % CLASSES)
    complaint = case.refused()
    assert "found 1 in both; the first is number 11 here and number 7 there" in complaint


def test_the_same_sample_in_another_datatype_is_still_the_same(case: Case) -> None:
    case.calibrate_with(x=images(30, seed=2)[3:20].astype(np.float64))
    assert "17 in both" in case.refused()


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (np.zeros((20, 3, 8, 8), dtype=np.uint8), "found 20 times the same one"),
        (np.repeat(images(1, seed=3), 20, axis=0), "found 20 times the same one"),
        (np.zeros((0, 3, 8, 8), dtype=np.uint8), "found shape [0, 3, 8, 8]"),
        (np.array(["a", "b"]), "found type <U1"),
        (np.full((1, 3, 8, 8), 7.0), "found 7.0 everywhere"),
    ],
)
def test_samples_that_could_not_calibrate_are_refused(case: Case, x: npt.NDArray[Any], found: str) -> None:
    case.calibrate_with(x=x)
    complaint = case.refused()
    assert "calibration.npz: x: " in complaint
    assert found in complaint


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused_with_their_number(case: Case, wrong: float) -> None:
    x = images(20, seed=1).astype(np.float32)
    x[5, 0, 0, 0] = wrong
    case.calibrate_with(x=x)
    assert "found NaN or infinity in sample 5" in case.refused()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"just text"])
def test_a_file_of_samples_that_is_no_archive_is_named(case: Case, content: bytes) -> None:
    (case.folder / "calibration.npz").write_bytes(content)
    assert "calibration.npz: content: expected a whole .npz file of plain arrays" in case.refused()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_of_samples_is_named(case: Case, share: float) -> None:
    file = case.folder / "evaluation.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    assert "evaluation.npz: content: " in case.refused()


def test_pickled_objects_are_never_unpacked(case: Case) -> None:
    case.calibrate_with(x=np.array([{"a": 1}, {"b": 2}], dtype=object))
    assert "calibration.npz: content: " in case.refused()


def test_an_archive_without_x_is_refused_with_what_it_holds(case: Case) -> None:
    case.calibrate_with(images=images(20, seed=1))
    assert "calibration.npz: x: expected an array of samples, found arrays images" in case.refused()


def test_names_of_classes_must_be_as_many_as_the_models(case: Case) -> None:
    labels = case.folder / "labels.txt"
    labels.write_text("one\ntwo\n")
    case.options["--labels"] = str(labels)
    assert "labels.txt: lines: expected 4, one for each class of the model, found 2" in case.refused()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--metric", "bleu", "map50, mae, mse, r2, cosine or module:function, found 'bleu'"),
        (
            "--calibrator",
            "best",
            "expected auto or minmax or percentile-99.9 or percentile-99.99 or mse or entropy or headroom, found 'best'",
        ),
        ("--max-drop", "1.5", "--max-drop: share: expected 0 or more and less than 1"),
        ("--max-drop", "nan", "found nan"),
        ("--name", "No Spaces", "--name: model name: expected"),
        ("--preprocess", "scale=x", "--preprocess: scale=x: expected a finite number"),
    ],
)
def test_an_option_out_of_range_is_refused_by_its_name(case: Case, option: str, value: str, expected: str) -> None:
    case.options[option] = value
    assert expected in case.refused()


def test_a_place_that_cannot_be_written_is_named(case: Case) -> None:
    case.options["-o"] = str(case.model / "bundle")
    assert "--output: " in case.refused()


def test_a_folder_that_is_no_bundle_is_never_replaced(case: Case) -> None:
    precious = case.folder / "bundle"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    assert "expected a new folder, or a bundle to replace, found something else" in case.refused()
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_one_target_with_two_lowerings_is_refused(case: Case) -> None:
    case.options["--target"] = "rpi5"
    assert "--target: rpi5: expected each target once, with one lowering, found rpi5 and rpi5:tflite-int8" in case.refused(
        "--target", "rpi5:tflite-int8"
    )


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_weights_without_their_network_are_refused_with_what_to_save_instead(case: Case, suffix: str) -> None:
    case.model = case.folder / f"weights{suffix}"
    case.model.write_bytes(b"PK")
    complaint = case.refused()
    assert "torch.export.save" in complaint
    assert f"found a {suffix} file" in complaint
