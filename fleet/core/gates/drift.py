"""Decides how far a device's answers have moved: the population stability index of their classes and of their scores.

PSI = sum over cells of (q - p) ln(q / p), p and q being the cells' shares before and now (Siddiqi, "Credit Risk Scorecards", 2006; the
symmetric divergence of Kullback and Leibler, 1951). Below 0.1 little has changed, above 0.25 much. It adds up over what is independent,
so that a device's drift is the index of its classes plus that of its scores, or the former alone where scores are not told.

By chance alone n answers against m differ by (cells - 1)(1/n + 1/m) (Yurdakul and Naranjo, "Statistical properties of the population
stability index", Journal of Risk Model Validation 14, 2020). This is taken away, so that few answers show no drift that is not there; it
may leave less than nothing. Cells that would hold hardly any answer are one cell, and half an answer in each keeps the logarithm finite.

A device is compared with its own past: what each camera sees is its own, and what drifts everywhere drifts in the control as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from contracts.sketches import Sketch
from fleet.core.gates.answers import MIN_ANSWERS, Answers
from fleet.core.gates.evidence import Sums
from fleet.core.gates.rates import Values

# A cell of its own has at least so many expected answers, and there are at most so many.
MIN_EXPECTED = 5.0
MAX_CELLS = 20
# Scores are cut where the reference has so many equal parts.
PARTS = 10


def drift_sums(devices: Sequence[tuple[Answers, Answers]], usual: Answers) -> list[Sums]:
    """Return each device's drift from what it answered before, weighted by its answers; who has no past is compared with what is usual."""
    sums = []
    for now, before in devices:
        known = before if before.count >= MIN_ANSWERS else usual
        if min(now.count, known.count) >= MIN_ANSWERS:
            sums.append(Sums(drift(now, known) * now.count, now.count))
    return sums


def drift(now: Answers, before: Answers) -> float:
    """Return the index of the classes, plus that of the scores where both sides tell enough of them."""
    found = float(stability_index(*_class_cells(now.classes, before.classes)))
    if min(now.confidences.count, before.confidences.count) >= MIN_ANSWERS:
        found += float(stability_index(*_score_cells(now.confidences, before.confidences)))
    return found


def stability_index(now: Values, before: Values) -> Values:
    """Return the index of counts of shape [..., cells], without what chance does to it."""
    cells = now.shape[-1]
    here, there = now.sum(axis=-1, keepdims=True), before.sum(axis=-1, keepdims=True)
    q, p = (now + 0.5) / (here + cells / 2), (before + 0.5) / (there + cells / 2)
    index = ((q - p) * np.log(q / p)).sum(axis=-1)
    return np.asarray(index - (cells - 1) * (1 / here + 1 / there)[..., 0])


def _class_cells(now: Mapping[str, int], before: Mapping[str, int]) -> tuple[Values, Values]:
    """Give the classes that are frequent enough a cell each, and all others one."""
    here, there = sum(now.values()), sum(before.values())
    # A class is as frequent as in both together: one that is new counts as one that is gone.
    shares = {name: now.get(name, 0) / here + before.get(name, 0) / there for name in now.keys() | before.keys()}
    ordered = sorted(shares, key=lambda name: (-shares[name], name))
    own = [name for name in ordered[: MAX_CELLS - 1] if shares[name] / 2 * min(here, there) >= MIN_EXPECTED]
    cells = [(now.get(name, 0), before.get(name, 0)) for name in own]
    rest = (here - sum(cell[0] for cell in cells), there - sum(cell[1] for cell in cells))
    cells += [rest] if any(rest) else []
    table = np.array(cells, np.float64).T
    return table[0], table[1]


def _score_cells(now: Sketch, before: Sketch) -> tuple[Values, Values]:
    """Cut scores into parts of which the reference holds about as many each."""
    bins_now, bins_before = now.bins(), before.bins()
    total, seen, target = before.count, 0, before.count / PARTS
    cuts: list[int] = []
    for index, count in bins_before.items():
        seen += count
        if target <= seen < total:
            cuts.append(index)
            target = (seen * PARTS // total + 1) * total / PARTS
    return _counted(bins_now, cuts), _counted(bins_before, cuts)


def _counted(bins: Mapping[int, int], cuts: Sequence[int]) -> Values:
    cells = np.zeros(len(cuts) + 1)
    for index, count in bins.items():
        cells[sum(index > cut for cut in cuts)] += count
    return cells
