"""Chooses how ranges are set: by one calibrator, or by the one whose plan answers most like the float model on samples held back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from compiler.graph.index import GraphIndex
from compiler.lower.ort import simulated
from compiler.lower.tensorrt import to_int8
from compiler.quantize.bottleneck import is_autoencoder
from compiler.quantize.histogram import Histogram
from compiler.quantize.layers import layers_of
from compiler.quantize.observe import Feeds, Observer, open_session, run
from compiler.quantize.plan import Plan
from compiler.quantize.planner import build_plan
from compiler.quantize.ranges import CALIBRATORS
from compiler.quantize.rounding import rounded
from compiler.quantize.ties import Ties

AUTO = "auto"
CALIBRATOR_NAMES = (AUTO, *CALIBRATORS)
# What is tried to reproduce the float model's answers; for an autoencoder, whose calibration shows no anomaly, nothing may be cut off.
TRIED = tuple(name for name in CALIBRATORS if name != "headroom")
TRIED_FOR_ANOMALIES = ("headroom",)
# The one plan serves integers with a zero point and without: cutting off a rare high value is worth more to the one than to the other.
FORMS = (simulated, to_int8)
# Every second sample is held back from the ranges that are compared, and of many samples at most this many.
HELD_BACK_EVERY = 2
MAX_HELD_BACK = 64
# A sample's ratio counts within these bounds, so that neither a lucky nor a hopeless sample decides for all.
MIN_DB, MAX_DB = -20.0, 60.0


@dataclass(frozen=True)
class Calibration:
    """The plan that was chosen, the calibrator's name, and the score in dB of each one that was tried."""

    plan: Plan
    calibrator: str
    scores: Mapping[str, float]


def calibrate(model: onnx.ModelProto, samples: Iterable[Feeds], count: int, calibrator: str = AUTO) -> Calibration:
    """Plan a normal-form graph from `count` samples, which are looked at once; raise DataError where the float model gives no numbers.

    With "auto" the ranges of each calibrator are set without the samples held back and scored on them; those of the best are then
    set with all samples. Weights are rounded for what their layers read in all of them.
    """
    index = GraphIndex(model)
    observer = Observer(model, Ties(index).observed, tuple(layers_of(index, count)))
    used: dict[str, Histogram] = {}
    held: dict[str, Histogram] = {}
    held_back = []
    every = max(HELD_BACK_EVERY, -(-count // MAX_HELD_BACK))
    for number, feeds in enumerate(samples):
        is_held_back = calibrator == AUTO and number % every == every - 1
        observer.see(feeds, held if is_held_back else used)
        if is_held_back or (calibrator == AUTO and count < HELD_BACK_EVERY):
            held_back.append(feeds)
    scores = _scores(model, used, held_back) if calibrator == AUTO else {}
    best = max(scores, key=lambda name: scores[name]) if calibrator == AUTO else calibrator
    plan = rounded(build_plan(model, _merged(used, held), best), index, observer.moments)
    return Calibration(plan, best, scores)


def _scores(model: onnx.ModelProto, seen: Mapping[str, Histogram], held_back: Sequence[Feeds]) -> dict[str, float]:
    """Return for each calibrator the signal-to-noise ratio in dB, the mean over forms, outputs and samples."""
    expected = _answers(model, held_back)
    tried = TRIED_FOR_ANOMALIES if is_autoencoder(GraphIndex(model)) else TRIED
    plans = {name: build_plan(model, seen, name) for name in tried}
    scores = {}
    for name, plan in plans.items():
        answers = [_answers(form(model, plan), held_back) for form in FORMS]
        ratios = [signal_to_noise_db(expected[output], answer[output]).mean() for answer in answers for output in expected]
        scores[name] = float(np.mean(ratios))
    return scores


def signal_to_noise_db(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return for each row of [n, ...] 10 log10 of the power of `expected` over that of the difference, between -20 and 60."""
    rows = expected.reshape(len(expected), -1).astype(np.float64)
    signal, noise = np.square(rows).sum(axis=1), np.square(rows - found.reshape(rows.shape)).sum(axis=1)
    tiny = 1e-30
    return np.asarray(np.clip(10 * np.log10(np.maximum(signal, tiny) / np.maximum(noise, tiny)), MIN_DB, MAX_DB), dtype=np.float64)


def _answers(model: onnx.ModelProto, samples: Sequence[Feeds]) -> dict[str, npt.NDArray[np.float32]]:
    session = open_session(model)
    answers = [dict(run(session, feeds)) for feeds in samples]
    return {name: np.stack([answer[name] for answer in answers]) for name in answers[0]}


def _merged(first: Mapping[str, Histogram], second: Mapping[str, Histogram]) -> dict[str, Histogram]:
    both = {name: first[name].merged(second[name]) for name in first.keys() & second.keys()}
    return {**first, **second, **both}
