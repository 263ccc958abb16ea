"""Reads files of samples, and refuses those that could not calibrate or judge a model."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compiler.errors import DataError
from contracts.preprocess import Preprocess
from contracts.tensors import DATATYPES, Datatype, TensorSpec

Sample = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """Raw samples [n, ...], each shaped as the model's input without its batch; `labels` int64 [n] where the file has them."""

    file: Path
    raw: npt.NDArray[Any]
    labels: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def datatype(self) -> Datatype:
        """Return the samples' datatype in the words of the manifest."""
        return DATATYPES[self.raw.dtype.name]  # type: ignore[return-value]  # checked by read_samples

    def prepared(self, preprocess: Preprocess) -> Iterator[Sample]:
        """Yield every sample as the model takes it, batch of 1, float32."""
        return (preprocess.apply(sample[None]) for sample in self.raw)


def read_samples(file: Path, spec: TensorSpec) -> Samples:
    """Read `x`, and `y` if there is one, from an .npz file; raise DataError for what does not fit the model's input."""
    arrays = _load(file)
    if "x" not in arrays:
        raise DataError(str(file), "x", "an array of samples", f"arrays {', '.join(sorted(arrays)) or 'none'}")
    raw = arrays["x"]
    _check_values(file, raw)
    shape = (1, *raw.shape[1:])
    if not spec.accepts_shape(shape):
        raise DataError(str(file), "x", f"samples of shape {list(spec.shape[1:])} for input {spec.name}", f"shape {list(raw.shape[1:])}")
    return Samples(file, raw.reshape(len(raw), *spec.shape[1:]), _labels(file, arrays.get("y"), len(raw)))


def check_labels(samples: Samples, classes: int) -> npt.NDArray[np.int64]:
    """Return the labels, each a class index; raise DataError when there are none or one is out of range."""
    labels = samples.labels
    expected = f"class indexes 0 to {classes - 1}, one for each sample"
    if labels is None:
        raise DataError(str(samples.file), "y", expected, "no array y")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise DataError(str(samples.file), "y", expected, str(wrong))
    return labels


def check_disjoint(calibration: Samples, evaluation: Samples, preprocess: Preprocess) -> None:
    """Raise DataError if a sample calibrates and judges: the gate would then measure memory, not accuracy."""
    seen = {digest: index for index, digest in enumerate(_digests(calibration, preprocess))}
    shared = [(seen[digest], index) for index, digest in enumerate(_digests(evaluation, preprocess)) if digest in seen]
    if shared:
        first, second = shared[0]
        found = f"{len(shared)} in both; the first is number {second} here and number {first} there"
        raise DataError(str(evaluation.file), "x", f"no sample of {calibration.file}", found)


def _digests(samples: Samples, preprocess: Preprocess) -> Iterator[bytes]:
    return (hashlib.sha256(sample.tobytes()).digest() for sample in samples.prepared(preprocess))


def _load(file: Path) -> dict[str, npt.NDArray[Any]]:
    if not file.is_file():
        raise DataError(str(file), "file", "an .npz file of samples", "no such file")
    expected = "a whole .npz file of plain arrays"
    try:
        with file.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise DataError(str(file), "content", expected, "something else, or one cut short")
            with np.load(stream, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
        raise DataError(str(file), "content", expected, str(error)) from error


def _check_values(file: Path, raw: npt.NDArray[Any]) -> None:
    if raw.ndim < 1 or raw.size == 0:
        raise DataError(str(file), "x", "at least one sample", f"shape {list(raw.shape)}")
    if raw.dtype.name not in DATATYPES or raw.dtype.kind == "b":
        raise DataError(str(file), "x", "integers or floats of 8 to 64 bits", f"type {raw.dtype}")
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        index = int(np.argwhere(~np.isfinite(raw))[0][0])
        raise DataError(str(file), "x", "finite values", f"NaN or infinity in sample {index}")
    if len(raw) > 1 and (raw == raw[0]).all():
        raise DataError(str(file), "x", "samples that differ", f"{len(raw)} times the same one")
    if raw.min() == raw.max():
        raise DataError(str(file), "x", "values that vary", f"{raw.flat[0]} everywhere")


def _labels(file: Path, labels: npt.NDArray[Any] | None, samples: int) -> npt.NDArray[np.int64] | None:
    if labels is None:
        return None
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise DataError(str(file), "y", f"integers of shape [{samples}]", f"{labels.dtype} of shape {list(labels.shape)}")
    return labels.astype(np.int64)
