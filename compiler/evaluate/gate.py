"""Decides whether a compiled model may leave: how much worse it is on the same samples, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from compiler.errors import DeclaredError
from compiler.evaluate.bootstrap import Estimate, paired
from compiler.evaluate.intervals import PairedCounts, drop_interval, share_interval
from compiler.evaluate.metrics import Hits, Metric
from compiler.evaluate.tallies import Mean, Tally
from contracts.manifest import Verdict

# Nobody evaluates more than this; past it the tool does not say how many samples a proof would take.
MAX_SAMPLES_FOR_PROOF = 100_000_000
# Resampling fewer samples says too little of those that were not drawn at all.
MIN_SAMPLES_FOR_BOOTSTRAP_PROOF = 30
# From the metric and both models' tallies of so many samples.
Resample = Callable[[Metric, Tally, Tally, int], Estimate]


@dataclass(frozen=True)
class Judgement:
    """What the gate found for one target, in the metric's own unit; a drop above 0 is a loss."""

    metric: Metric
    samples: int
    estimate: Estimate
    method: Literal["newcombe", "bootstrap"]
    verdict: Verdict
    # How many samples would make an unproven verdict a proven one at the rates seen; None where that does not apply.
    samples_for_proof: int | None


def judge(metric: Metric, before: Tally, after: Tally, samples: int, max_drop: float, *, resample: Resample = paired) -> Judgement:
    """Compare two models on the same samples against a budget; `resample` gives what `paired` does, which no budget changes.

    proven: the upper end of the drop's 95 % interval is within the budget; unproven: only the drop itself is; failed: not even that.
    """
    if metric.is_proportion:
        assert isinstance(before, Mean)
        assert isinstance(after, Mean)
        counts = paired_counts(before.scores > 0, after.scores > 0)
        verdict = verdict_of(counts, max_drop)
        needed = samples_for_proof(counts, max_drop) if verdict == "unproven" else None
        return Judgement(metric, samples, _newcombe(counts), "newcombe", verdict, needed)
    estimate = resample(metric, before, after, samples)
    verdict = _bootstrap_verdict(estimate, samples, max_drop)
    needed = _bootstrap_samples(estimate, samples, max_drop) if verdict == "unproven" else None
    return Judgement(metric, samples, estimate, "bootstrap", verdict, needed)


def check_declared(metric: Metric, tally: Tally, samples: int, declared: float | None, place: str, *, resample: Resample = paired) -> None:
    """Raise DeclaredError when the float model misses its declared accuracy by more than sampling error can explain."""
    if declared is None:
        return
    if isinstance(tally, Mean) and metric.is_proportion:
        right = float((tally.scores > 0).sum())
        value, interval = right / samples, share_interval(right, samples)
    else:
        estimate = resample(metric, tally, tally, samples)
        value, interval = estimate.float_value, estimate.float_interval
    is_missed = interval.low > declared if metric.is_error else interval.high < declared
    if is_missed or math.isnan(value):
        raise DeclaredError(place, metric.name, declared, value, (interval.low, interval.high), samples)


def paired_counts(before: Hits, after: Hits) -> PairedCounts:
    """Count who is right."""
    return PairedCounts(
        both=int((before & after).sum()),
        lost=int((before & ~after).sum()),
        gained=int((~before & after).sum()),
        neither=int((~before & ~after).sum()),
    )


def verdict_of(counts: PairedCounts, max_drop: float) -> Verdict:
    """Return the verdict for one table of paired answers."""
    if counts.drop > max_drop:
        return "failed"
    return "proven" if drop_interval(counts).high <= max_drop else "unproven"


def samples_for_proof(counts: PairedCounts, max_drop: float) -> int | None:
    """Return about how many samples would prove the budget at the rates seen, or None if no number would."""
    few, many = counts.n, counts.n
    while verdict_of(counts.scaled(many / counts.n), max_drop) != "proven":
        few, many = many, many * 2
        if many > MAX_SAMPLES_FOR_PROOF:
            return None
    while many - few > max(1.0, many / 100):
        middle = (few + many) / 2
        if verdict_of(counts.scaled(middle / counts.n), max_drop) == "proven":
            many = middle
        else:
            few = middle
    return round(many)


def refusals(judgements: Mapping[str, Judgement], max_drop: float, *, require_proof: bool) -> list[str]:
    """Say for each target that may not leave what it lost; an empty list lets all of them go."""
    found = []
    for target, judgement in judgements.items():
        estimate = judgement.estimate
        values = f"{target}: {judgement.metric.name} {estimate.float_value:.4f} float, {estimate.compiled_value:.4f} compiled"
        lost = f"{values}, drop {estimate.drop:.4f}"
        if judgement.verdict == "failed":
            found.append(f"{lost}, budget {max_drop:g}")
        elif judgement.verdict == "unproven" and require_proof:
            samples = judgement.samples_for_proof
            proof = f"about {samples} samples would prove it" if samples else "no number of samples would prove it"
            found.append(f"{lost} at most {estimate.drop_interval.high:.4f}, budget {max_drop:g}; {proof}")
    return found


def _newcombe(counts: PairedCounts) -> Estimate:
    before, after = counts.both + counts.lost, counts.both + counts.gained
    return Estimate(
        float_value=before / counts.n,
        float_interval=share_interval(before, counts.n),
        compiled_value=after / counts.n,
        compiled_interval=share_interval(after, counts.n),
        drop=counts.drop,
        drop_interval=drop_interval(counts),
    )


def _bootstrap_verdict(estimate: Estimate, samples: int, max_drop: float) -> Verdict:
    if not estimate.drop <= max_drop:  # so that a metric that is no number fails
        return "failed"
    is_enough = samples >= MIN_SAMPLES_FOR_BOOTSTRAP_PROOF
    return "proven" if is_enough and estimate.drop_interval.high <= max_drop else "unproven"


def _bootstrap_samples(estimate: Estimate, samples: int, max_drop: float) -> int | None:
    """The interval's reach shrinks with the root of the number of samples."""
    if estimate.drop >= max_drop:
        return None
    needed = samples * ((estimate.drop_interval.high - estimate.drop) / (max_drop - estimate.drop)) ** 2
    return max(MIN_SAMPLES_FOR_BOOTSTRAP_PROOF, math.ceil(needed)) if needed <= MAX_SAMPLES_FOR_PROOF else None
