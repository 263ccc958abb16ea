"""Puts one model after the other before the same samples, and keeps of its answers only what gate, golden set and report need."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numpy as np
import numpy.typing as npt

from compiler.evaluate.datasets import Samples
from compiler.evaluate.metrics import Metric
from compiler.evaluate.port import Array, Engine, Feed, Outputs, Shown
from compiler.evaluate.tallies import Answer, Tally, decision
from compiler.evaluate.truth import is_label_free
from contracts.postprocess import Boxes, Classes

# Golden samples are chosen among this many, spread over the whole set, whose outputs are kept; and no more bytes than these.
MAX_CANDIDATES = 500
MIN_CANDIDATES = 16
MAX_CANDIDATE_BYTES = 64 << 20

# Says how far a stage is: the samples' numbers, and what it is called.
Track = Callable[[range, str], Iterable[int]]


@dataclass(frozen=True)
class Record:
    """What one model answered: its tally, the class of each sample where it has classes, and all it said of the candidates."""

    version: str
    tally: Tally
    decisions: npt.NDArray[np.int64] | None
    candidates: tuple[Outputs, ...]
    # Median time of one inference on this host; never part of a bundle, whose bytes do not depend on the hour.
    latency_ms: float


@dataclass(frozen=True)
class Examination:
    """One set of samples, one metric, and the float model that stands in for labels where there are none."""

    samples: Samples
    metric: Metric
    postprocess: Classes | Boxes | None
    # Opened when it is first asked, which is never where all answers are remembered.
    open_float: Callable[[], Engine]

    @cached_property
    def float_model(self) -> Engine:
        """Return the model as imported."""
        return self.open_float()

    @property
    def is_label_free(self) -> bool:
        """Say whether the float model's outputs stand in for labels."""
        return is_label_free(self.metric, has_labels=self.samples.has_labels)

    @property
    def candidates(self) -> npt.NDArray[np.int64]:
        """Return the numbers of the samples that golden ones are chosen from, all of the usual raw shape, in ascending order."""
        usual = self.samples.usual
        one = sum(4 * int(np.prod(spec.shape)) for spec in self.samples.interface.outputs)
        count = min(len(usual), MAX_CANDIDATES, max(MIN_CANDIDATES, MAX_CANDIDATE_BYTES // one))
        return np.asarray(usual[np.linspace(0, len(usual) - 1, count).round().astype(np.int64)], np.int64)

    def examine(self, engine: Engine, track: Track, description: str) -> Record:
        """Run every sample through a model."""
        tally = self.metric.begin()
        decisions, kept, times = array("q"), [], array("d")
        candidates = set(self.candidates.tolist())
        has_classes = self.samples.interface.classes is not None and not isinstance(self.postprocess, Boxes)
        numbers = track(range(len(self.samples)), description)
        for number, shown in zip(numbers, self.samples.shown(), strict=True):
            started = perf_counter()
            outputs = engine.infer(shown.feed)
            times.append(perf_counter() - started)
            answer = self._answer(shown, outputs)
            tally.add(answer, self._truth_of(engine, answer, shown))
            if has_classes:
                decisions.append(decision(answer.scores))
            if number in candidates:
                kept.append(outputs)
        classes = np.frombuffer(decisions, np.int64) if has_classes else None
        return Record(engine.version, tally, classes, tuple(kept), 1000 * float(np.median(times)))

    def answers(self, engine: Engine, track: Track, description: str) -> tuple[Outputs, ...]:
        """Run only the candidates through a model."""
        numbers = self.candidates
        return tuple(engine.infer(feed) for _, feed in zip(track(range(len(numbers)), description), self._feeds_at(numbers), strict=True))

    def spread(self, count: int) -> list[Feed]:
        """Return `count` samples, or as many as there are, spread over the whole set."""
        numbers = np.linspace(0, len(self.samples) - 1, min(count, len(self.samples))).round().astype(np.int64)
        return list(self._feeds_at(numbers))

    def _feeds_at(self, numbers: npt.NDArray[np.int64]) -> Iterator[Feed]:
        return self.samples.feeds_at(numbers.tolist())

    def _answer(self, shown: Shown, outputs: Outputs) -> Answer:
        return Answer(shown.feed, outputs, self.postprocess.apply(outputs, shown.view) if self.postprocess else outputs)

    def _truth_of(self, engine: Engine, answer: Answer, shown: Shown) -> Array:
        if not self.is_label_free:
            assert shown.label is not None  # the labels were checked
            return shown.label
        return answer.values if engine is self.float_model else self._answer(shown, self.float_model.infer(shown.feed)).values
