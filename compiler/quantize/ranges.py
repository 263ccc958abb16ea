"""Runs the calibration samples through the float model and keeps the smallest and largest value of every tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, TensorsData, create_calibrator

from compiler.quantize.quiet import quiet_logging

# How many samples are in memory at a time. The calibrator's own `max_intermediate_outputs` is no way to bound this:
# on reaching it, onnxruntime 1.31 forgets what it has seen instead of merging it.
BATCH = 16


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Hands one sample at a time to the calibrator."""

    def __init__(self, input_name: str, samples: list[npt.NDArray[np.float32]]) -> None:
        self._feeds: Iterator[dict[str, npt.NDArray[np.float32]]] = ({input_name: sample} for sample in samples)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        return next(self._feeds, None)


def observe_ranges(model: onnx.ModelProto, samples: Iterable[npt.NDArray[np.float32]]) -> TensorsData:
    """Return the range of every float tensor over `samples`, each shaped as the model's input."""
    with TemporaryDirectory(prefix="fieldfare-") as scratch, quiet_logging():
        plain, augmented = Path(scratch) / "model.onnx", Path(scratch) / "augmented.onnx"
        onnx.save(model, plain)
        calibrator = create_calibrator(
            plain,
            augmented_model_path=str(augmented),
            calibrate_method=CalibrationMethod.MinMax,
        )
        remaining = iter(samples)
        while batch := list(islice(remaining, BATCH)):
            calibrator.collect_data(_Reader(model.graph.input[0].name, batch))  # merges with the batches before
        return calibrator.compute_data()
