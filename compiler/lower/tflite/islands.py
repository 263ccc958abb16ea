"""Decides which operators of an integer file compute in float: those without an integer form, and what lies between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from compiler.lower.tflite.integers import Width
from compiler.lower.tflite.ir import Constant, Graph, Index, Op, Tensor, Whole
from compiler.lower.tflite.kinds import FACTS, Kind, Rule

# Beyond this a number says "nothing", as a mask does: no 256 steps hold it beside those that mean something.
MEANINGLESS = 1e4
UNHOLDABLE = 1e9
# Work on each element, or sums of them: as cheap in float, and to round between two of them would only cost accuracy.
LIGHT = frozenset(
    {
        *(Kind.ABS, Kind.ADD, Kind.DIV, Kind.EXP, Kind.LOG, Kind.MAXIMUM, Kind.MEAN, Kind.MINIMUM, Kind.MUL, Kind.POW, Kind.RELU),
        *(Kind.RSQRT, Kind.SQRT, Kind.SUB, Kind.SUM),
    }
)
MOVERS = frozenset({Kind.RESHAPE, Kind.TRANSPOSE, Kind.SLICE, Kind.GATHER, Kind.CONCATENATION, Kind.TILE})

# Which integers an operator would compute with; None for one that is float already.
WidthOf = Callable[[Op], "Width | None"]


def islands(graph: Graph, width_of: WidthOf) -> frozenset[Op]:
    """Return the operators that compute in float though the file is one of integers.

    An operator of which one part has no integer form is float as a whole. So is light work whose results only such operators read, and
    light work on nothing but their results: a normalization that is written out in single steps stays in one piece.
    """
    masks = _masks(graph)
    seeds = {op.node for op in graph.ops if (width := width_of(op)) is not None and (op in masks or not _has_integers(op, width))}
    found = {op for op in graph.ops if op.node in seeds or (seeds and width_of(op) is None)}
    if not seeds:
        return frozenset()
    makers = {tensor: op for op in graph.ops for tensor in op.outputs}
    readers: dict[Tensor, list[Op]] = defaultdict(list)
    for op in graph.ops:
        for tensor in op.inputs:
            readers[tensor].append(op)
    outputs = {tensor for _, tensor in graph.outputs}
    _grow(graph, found, lambda op: _is_read_only_by(op, found, readers, outputs), backwards=True)
    _grow(graph, found, lambda op: _reads_only(op, found, makers), backwards=False)
    return frozenset(found)


def unholdable(graph: Graph, width_of: WidthOf) -> Op | None:
    """Return the first operator whose numbers are too large to be told apart from others by integers."""
    masks = _masks(graph)
    return next((op for op in graph.ops if width_of(op) is not None and (op in masks or (_is_planned(op) and _is_beyond(op)))), None)


def _is_planned(op: Op) -> bool:
    return all(tensor.span is not None for tensor in op.outputs)


def _is_beyond(op: Op) -> bool:
    """Say whether a number that has to keep its value is too large; where values only move, a constant takes the nearest step."""
    has_own_steps = FACTS[op.kind].rule is Rule.FREE
    inputs = [tensor for tensor in op.inputs if has_own_steps or not isinstance(tensor, Constant)]
    return any(_reach(tensor) > UNHOLDABLE for tensor in (*inputs, *op.outputs))


def _has_integers(op: Op, width: Width) -> bool:
    """Say whether an operator has a form with these integers, and whether they can hold what it reads and writes."""
    facts = FACTS[op.kind]
    if facts.rule is Rule.FLOAT or width.version(facts) is None:
        return False
    needs_range = facts.rule in {Rule.FREE, Rule.TIED}
    if needs_range and any(tensor.span is None for tensor in op.outputs):
        return False
    return not _is_beyond(op)


def _reach(tensor: Tensor) -> float:
    if isinstance(tensor, (Index, Whole)):
        return 0.0
    if isinstance(tensor, Constant):
        return float(abs(tensor.values).max(initial=0.0))
    return 0.0 if tensor.span is None else max(abs(tensor.span.low), abs(tensor.span.high))


def _masks(graph: Graph) -> set[Op]:
    """Return sums with a mask of large negative numbers, constant or computed, and the softmaxes that read them."""
    sums = {op for op in graph.ops if op.kind in {Kind.ADD, Kind.SUB} and _has_mask(op)}
    masked = {tensor for op in sums for tensor in op.outputs}
    readers = {op for op in graph.ops if op.kind is Kind.SOFTMAX and masked.intersection(op.inputs)}
    return readers | {op for op in sums if any(set(op.outputs).intersection(reader.inputs) for reader in readers)}


def _has_mask(op: Op) -> bool:
    return any(_reach(tensor) >= MEANINGLESS for tensor in op.inputs)


def _grow(graph: Graph, found: set[Op], belongs: Callable[[Op], bool], *, backwards: bool) -> None:
    """Walk once against, or along, the order of computation: what is added then decides on what comes next."""
    for op in reversed(graph.ops) if backwards else graph.ops:
        is_light = op.kind in LIGHT or (backwards and op.kind in MOVERS)
        if is_light and op not in found and belongs(op):
            found.add(op)


def _is_read_only_by(op: Op, found: set[Op], readers: Mapping[Tensor, list[Op]], outputs: set[Tensor]) -> bool:
    read = [reader for tensor in op.outputs for reader in readers[tensor]]
    return bool(read) and not outputs.intersection(op.outputs) and all(reader in found for reader in read)


def _reads_only(op: Op, found: set[Op], makers: Mapping[Tensor, Op]) -> bool:
    computed = [tensor for tensor in op.inputs if not isinstance(tensor, (Constant, Index))]
    return bool(computed) and all(tensor in makers and makers[tensor] in found for tensor in computed)
