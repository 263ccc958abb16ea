"""Runs the calibration samples through the float model and keeps the smallest and largest value of every tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, TensorsData, create_calibrator

from compiler.quantize.quiet import quiet_logging

# How many samples' minima and maxima are held before they are merged.
MERGE_EVERY = 64


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Hands one sample at a time to the calibrator, so that only one is in memory."""

    def __init__(self, input_name: str, samples: Iterable[npt.NDArray[np.float32]]) -> None:
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
            extra_options={"max_intermediate_outputs": MERGE_EVERY},
        )
        calibrator.collect_data(_Reader(model.graph.input[0].name, samples))
        return calibrator.compute_data()
