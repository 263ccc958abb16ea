"""Judges a model on few data: each sample by a file whose plan never saw it, in K folds of one set.

M. Stone, "Cross-validatory choice and assessment of statistical predictions", Journal of the Royal Statistical Society B 36, 1974.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx

from compiler.errors import DataError
from compiler.evaluate.datasets import Samples
from compiler.evaluate.examination import Examination, Record, Track
from compiler.evaluate.port import Engine, Feed, Outputs
from compiler.quantize.calibrate import calibrate
from compiler.quantize.plan import Plan

MIN_FOLDS, MAX_FOLDS = 2, 20

FoldOf = npt.NDArray[np.int64]


def fold_of(samples: Samples, folds: int) -> FoldOf:
    """Return the fold, 0 to `folds` - 1, that judges each sample; raise DataError where there are fewer different samples than folds.

    Equal samples are judged together, so that none is judged by a plan that saw its twin. Each class is dealt out evenly, in an order
    that the samples' content decides: it depends neither on their place in the file nor on chance.
    """
    label_of = dict(zip(samples.digests, samples.classes.tolist(), strict=True)) if samples.classes is not None else {}
    order = sorted(set(samples.digests), key=lambda digest: (label_of.get(digest, 0), digest))
    if len(order) < folds:
        raise DataError(samples.source.place, "x", f"at least {folds} different samples for --folds {folds}", str(len(order)))
    chosen = {digest: place % folds for place, digest in enumerate(order)}
    return np.asarray([chosen[digest] for digest in samples.digests], np.int64)


@dataclass(frozen=True)
class OutOfFold:
    """The plan of each fold, made without the fold's own samples."""

    fold_of: FoldOf
    plans: tuple[Plan, ...]

    def examine(self, examination: Examination, engines: Sequence[Engine], shipped: Engine, track: Track, name: str) -> Record:
        """Return the pooled answers of the folds' files to all samples; golden answers are those of the `shipped` file."""
        record = examination.examine(_Relay(engines, self.fold_of), track, f"evaluate {name}")
        return replace(record, candidates=examination.answers(shipped, track, f"golden {name}"))


def plan_folds(model: onnx.ModelProto, samples: Samples, folds: int, calibrator: str, track: Track) -> OutOfFold:
    """Calibrate once for each fold on the samples of all others."""
    placed = fold_of(samples, folds)
    plans = []
    for fold in track(range(folds), "calibrate folds"):
        others = np.flatnonzero(placed != fold).tolist()
        plans.append(calibrate(model, samples.feeds_at(others), len(others), calibrator).plan)
    return OutOfFold(placed, tuple(plans))


class _Relay:
    """One engine for each fold behind the face of one: it is asked for all samples in their order, and passes each to its fold's."""

    def __init__(self, engines: Sequence[Engine], placed: FoldOf) -> None:
        self.version = engines[0].version
        self._turns: Iterator[Engine] = (engines[fold] for fold in placed)

    def infer(self, feed: Feed) -> Outputs:
        """Answer the next sample."""
        return next(self._turns).infer(feed)
