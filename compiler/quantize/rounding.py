"""Rounds weights up or down so that a layer's outputs stay where they were on what it was seen to read, not each weight by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compiler.graph.index import GraphIndex
from compiler.quantize.layers import Floats, Layer
from compiler.quantize.plan import Plan, Weights

Wide = npt.NDArray[np.float64]
# Rows of n numbers are believed to the degree that there are more of them than this share of n: few samples leave weights at the nearest.
PRIOR_SHARE = 0.1
# Keeps what no sample ever moved from being divided by.
RIDGE = 1e-6
# Weights are settled in blocks of this many, each of which learns at once of all before it.
BLOCK = 64
# Rows are summed up when there are so many.
ROWS_AT_ONCE = 256


@dataclass
class Moments:
    """What a layer's inputs have in common: the mean of the products of every two, for each of its groups."""

    layer: Layer
    count: int = 0
    sums: Wide = field(init=False)
    # Rows that are not in the sums yet: many at once cost little more than one.
    waiting: list[Floats] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sums = np.zeros((self.layer.groups, self.layer.length, self.layer.length))

    def add(self, values: Floats) -> None:
        """Add one tensor that the layer reads."""
        self.waiting.append(self.layer.rows(values))
        self.count += len(self.waiting[-1])
        if sum(map(len, self.waiting)) >= ROWS_AT_ONCE:
            self._sum_up()

    def _sum_up(self) -> None:
        if self.waiting:
            rows = np.concatenate(self.waiting).astype(np.float64).transpose(1, 0, 2)
            self.sums += rows.transpose(0, 2, 1) @ rows
            self.waiting.clear()

    def shrunk(self) -> Wide:
        """Return the means, drawn towards their diagonal the more, the fewer rows they come of; always invertible."""
        self._sum_up()
        means = self.sums / max(self.count, 1)
        squares = np.diagonal(means, axis1=1, axis2=2)
        doubt = PRIOR_SHARE * self.layer.length / (PRIOR_SHARE * self.layer.length + self.count)
        floor = np.maximum(RIDGE * squares.mean(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return np.asarray((1 - doubt) * means + np.eye(self.layer.length) * (doubt * squares + floor)[:, None], np.float64)


def rounded(plan: Plan, index: GraphIndex, moments: dict[str, Moments]) -> Plan:
    """Return the plan with every weight of the layers in `moments` rounded for its layer's sake; scales stay as they are."""
    weights = {name: _rounded(chosen, index.constants[name], moments.get(name)) for name, chosen in plan.weights.items()}
    return plan.model_copy(update={"weights": weights})


def _rounded(chosen: Weights, values: Floats, seen: Moments | None) -> Weights:
    if seen is None or not seen.count:
        return chosen
    steps = seen.layer.matrices(chosen.steps(values)).astype(np.float64)
    lower = np.floor(steps)
    upward = settled(steps, seen.shrunk()) > lower
    return chosen.model_copy(update={"upward": np.packbits(seen.layer.restored(upward, values)).tobytes()})


def settled(steps: Wide, moments: Wide) -> Wide:
    """Return [groups, outputs, n] real numbers rounded up or down, for little change of their products with rows of these moments.

    One number after the other is rounded, those that matter most first, and its error made up for by those still to come.
    E. Frantar et al., "GPTQ", arXiv 2210.17323; kept to the two nearest integers, so that what was not seen changes little either.
    """
    order = np.argsort(-np.diagonal(moments, axis1=1, axis2=2), axis=1, kind="stable")
    sorted_moments = np.take_along_axis(np.take_along_axis(moments, order[:, :, None], 1), order[:, None], 2)
    # The upper factor R of the moments, RR', by way of the lower factor of those turned back to front. What the rows make of errors e is
    # the length of eR: number j makes up for the errors e_i before it with the sum of e_i R_ij / R_jj.
    factor = np.linalg.cholesky(sorted_moments[:, ::-1, ::-1])[:, ::-1, ::-1]
    influence = np.ascontiguousarray(factor / np.diagonal(factor, axis1=1, axis2=2)[:, None])
    weights = np.take_along_axis(steps, order[:, None], 2)
    lower, found, errors = np.floor(weights), np.empty_like(weights), np.empty_like(weights)
    length = weights.shape[2]
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        wanted = weights[:, :, start:stop] + errors[:, :, :start] @ influence[:, :start, start:stop]
        for place in range(start, stop):
            now = wanted[:, :, place - start]
            found[:, :, place] = np.clip(np.rint(now), lower[:, :, place], lower[:, :, place] + 1)
            errors[:, :, place] = weights[:, :, place] - found[:, :, place]
            wanted[:, :, place - start + 1 :] += errors[:, :, place, None] * influence[:, None, place, place + 1 : stop]
    result = np.empty_like(found)
    np.put_along_axis(result, np.broadcast_to(order[:, None], found.shape), found, 2)
    return result
