"""Decides whether a compiled model may leave: how much accuracy it lost on the same samples, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.evaluate.intervals import Interval, PairedCounts, drop_interval, share_interval
from compiler.evaluate.metrics import Hits
from contracts.manifest import Verdict

# Nobody evaluates more than this; past it the tool does not say how many samples a proof would take.
MAX_SAMPLES_FOR_PROOF = 100_000_000


@dataclass(frozen=True)
class Judgement:
    """What the gate found for one target; all values are shares of right answers."""

    counts: PairedCounts
    float_share: float
    float_interval: Interval
    compiled_share: float
    compiled_interval: Interval
    drop: float
    drop_interval: Interval
    verdict: Verdict
    # How many samples would make an unproven verdict a proven one at the rates seen; None where that does not apply.
    samples_for_proof: int | None


def judge(float_hits: Hits, compiled_hits: Hits, max_drop: float) -> Judgement:
    """Compare two models on the same samples against a budget.

    proven: the upper end of the drop's 95 % interval is within the budget; unproven: only the drop itself is; failed: not even that.
    """
    counts = PairedCounts(
        both=int((float_hits & compiled_hits).sum()),
        lost=int((float_hits & ~compiled_hits).sum()),
        gained=int((~float_hits & compiled_hits).sum()),
        neither=int((~float_hits & ~compiled_hits).sum()),
    )
    float_right, compiled_right = counts.both + counts.lost, counts.both + counts.gained
    verdict = verdict_of(counts, max_drop)
    return Judgement(
        counts=counts,
        float_share=float_right / counts.n,
        float_interval=share_interval(float_right, counts.n),
        compiled_share=compiled_right / counts.n,
        compiled_interval=share_interval(compiled_right, counts.n),
        drop=counts.drop,
        drop_interval=drop_interval(counts),
        verdict=verdict,
        samples_for_proof=samples_for_proof(counts, max_drop) if verdict == "unproven" else None,
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


def refusals(judgements: Mapping[str, Judgement], metric: str, max_drop: float, *, require_proof: bool) -> list[str]:
    """Say for each target that may not leave what it lost; an empty list lets all of them go."""
    found = []
    for target, judgement in judgements.items():
        values = f"{target}: {metric} {judgement.float_share:.4f} float, {judgement.compiled_share:.4f} compiled, drop {judgement.drop:.4f}"
        if judgement.verdict == "failed":
            found.append(f"{values}, budget {max_drop:g}")
        elif judgement.verdict == "unproven" and require_proof:
            samples = judgement.samples_for_proof
            proof = f"about {samples} samples would prove it" if samples else "no number of samples would prove it"
            found.append(f"{values} at most {judgement.drop_interval.high:.4f}, budget {max_drop:g}; {proof}")
    return found
