"""Holds the oracle's prediction against what the compiler did, kind by kind, as its log counts them."""

from __future__ import annotations

from collections import Counter

from compiler.edgetpu.document import EdgeTpuPrediction
from compiler.edgetpu.log import CompilerLog
from compiler.package.section import Section


class Difference(Section):
    """A kind of operator that went otherwise than predicted: how many were mapped, and how many were expected to be."""

    operator: str
    mapped: int
    # At least and at most, those of which nothing was known being neither.
    predicted: int
    predicted_at_most: int


class Agreement(Section):
    """How many operators went as predicted, went otherwise, and were unknown before; they add up to all of them."""

    agreed: int
    differed: int
    unknown: int
    differences: tuple[Difference, ...] = ()


def agreement(prediction: EdgeTpuPrediction, log: CompilerLog) -> Agreement | None:
    """Return the score, or None where the log has no table or counts other operators than the file has."""
    mapped = Counter({row.operator: 0 for row in log.rows})
    total: Counter[str] = Counter()
    for row in log.rows:
        total[row.operator] += row.count
        mapped[row.operator] += row.count * (row.where == "tpu")
    if not total or total != Counter(one.operator for one in prediction.operators):
        return None
    sure, open_ = prediction.kinds("tpu"), prediction.kinds("unknown")
    differences = []
    for kind in sorted(total):
        least, most = sure.get(kind, 0), sure.get(kind, 0) + open_.get(kind, 0)
        if not least <= mapped[kind] <= most:
            differences.append(Difference(operator=kind, mapped=mapped[kind], predicted=least, predicted_at_most=most))
    differed = sum(max(one.predicted - one.mapped, one.mapped - one.predicted_at_most) for one in differences)
    unknown = sum(open_.values())
    return Agreement(agreed=sum(total.values()) - differed - unknown, differed=differed, unknown=unknown, differences=tuple(differences))
