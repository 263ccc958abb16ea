"""Writes scikit-learn's handwritten digits as raw uint8 samples: what calibrates the model and what judges it; no sample is in both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
SEED = 7
CALIBRATION_SAMPLES = 150
EVALUATION_SAMPLES = 500


@dataclass(frozen=True)
class Part:
    """Images uint8 [n, 8, 8] of 0..16, and their digits int64 [n]."""

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """The 1797 digits in three parts that share no image."""

    training: Part
    calibration: Part
    evaluation: Part


def split() -> Split:
    """Shuffle with a fixed seed and cut; train.py trains on the first part of this very split."""
    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    images, labels = digits.images.astype(np.uint8)[order], digits.target.astype(np.int64)[order]
    evaluation = slice(0, EVALUATION_SAMPLES)
    calibration = slice(EVALUATION_SAMPLES, EVALUATION_SAMPLES + CALIBRATION_SAMPLES)
    training = slice(EVALUATION_SAMPLES + CALIBRATION_SAMPLES, None)
    return Split(*(Part(images[part], labels[part]) for part in (training, calibration, evaluation)))


def main() -> None:
    """Write calibration.npz and evaluation.npz beside this file."""
    parts = split()
    for name, part in (("calibration", parts.calibration), ("evaluation", parts.evaluation)):
        np.savez_compressed(HERE / f"{name}.npz", x=part.x, y=part.y)
        print(f"{name}.npz: {len(part.y)} samples")


if __name__ == "__main__":
    main()
