"""The example's files are what its scripts say they are."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.evaluate.runner import Runner
from examples.digits.make_data import Part, split
from tests.compiler.material import DIGITS, ROOT


def fingerprints(part: Part) -> set[bytes]:
    return {image.tobytes() for image in part.x}


def test_no_digit_is_in_two_parts() -> None:
    parts = split()
    training, calibration, evaluation = (fingerprints(part) for part in (parts.training, parts.calibration, parts.evaluation))
    assert not training & calibration
    assert not training & evaluation
    assert not calibration & evaluation
    assert len(parts.training.y) + len(parts.calibration.y) + len(parts.evaluation.y) == 1797


def test_the_committed_samples_are_the_scripts() -> None:
    parts = split()
    for name, part in (("calibration", parts.calibration), ("evaluation", parts.evaluation)):
        with np.load(DIGITS / f"{name}.npz") as committed:
            assert np.array_equal(committed["x"], part.x)
            assert np.array_equal(committed["y"], part.y)


def test_the_committed_model_is_as_good_as_it_says() -> None:
    evaluation = split().evaluation
    samples = (image.astype(np.float32)[None, None] * np.float32(0.0625) for image in evaluation.x)
    scores = Runner("digits", (DIGITS / "digits.onnx").read_bytes(), {}).run(samples)
    assert (scores.argmax(axis=1) == evaluation.y).mean() >= 0.97


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed: pip install 'fieldfare[torch]'")
def test_training_again_gives_a_model_of_the_same_quality(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.digits.train", "--output", str(tmp_path / "digits.onnx")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True)
    share = float(done.stdout.split("digits.onnx: ")[1].split()[0])
    assert share >= 0.97
    assert (tmp_path / "digits.onnx").stat().st_size > 50_000
