"""Predicts which operators of an int8 `.tflite` file an Edge TPU runs, which stay on the CPU, and what nobody outside can know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from compiler.edgetpu.case import Case, Verdict, Where, case_of
from compiler.edgetpu.memory import Memory, memory_of
from compiler.edgetpu.requirements import REQUIREMENTS
from compiler.edgetpu.table import REWRITES, SUPPORTED
from compiler.importers.tflite.flatbuffer import FlatModel

# The first runtime that runs what no later one brought.
FIRST_RUNTIME = 10
# What a compiled file has in the place of all that was mapped.
COMPILED = "CUSTOM edgetpu-custom-op"


@dataclass(frozen=True)
class Placed:
    """One operator in its file: `alone` is where it could run by itself, `verdict` where it would run in this graph."""

    case: Case
    alone: Verdict
    verdict: Verdict

    @property
    def where(self) -> Where:
        """Return where it would run."""
        return self.verdict.where


@dataclass(frozen=True)
class Prediction:
    """Every operator in order, and the memory of those that would run on the accelerator."""

    placed: tuple[Placed, ...]
    memory: Memory

    def count(self, where: Where) -> int:
        """Return how many operators run there."""
        return sum(one.where == where for one in self.placed)

    @property
    def runtime_version(self) -> int:
        """Return the oldest runtime that knows all operators that would be mapped."""
        return max([FIRST_RUNTIME, *(_since(one.case) for one in self.placed if one.where == "tpu")])

    def kinds(self, where: Where) -> dict[str, int]:
        """Return how many operators of each kind run there."""
        return dict(sorted(Counter(one.case.kind for one in self.placed if one.where == where).items()))


def predict(model: FlatModel) -> Prediction:
    """Judge each operator by itself, then cut the graph as the compiler does."""
    cases = [case_of(model, operator) for operator in model.operators]
    placed = tuple(_partitioned(cases, [judged(case) for case in cases]))
    return Prediction(placed, memory_of([one.case for one in placed if one.where == "tpu"]))


def judged(case: Case) -> Verdict:
    """Return the verdict on one operator by itself."""
    if case.kind == COMPILED:
        return Verdict("tpu", "it is compiled for the Edge TPU already")
    if case.kind not in SUPPORTED:
        return Verdict("cpu", "it is not among the operators that an Edge TPU runs", REWRITES.get(case.kind))
    if not case.values:
        return Verdict("unknown", "it computes with constants alone")
    try:
        found = (check(case) for check in (*REQUIREMENTS, *SUPPORTED[case.kind].checks))
        return next((verdict for verdict in found if verdict), Verdict("tpu", "it keeps all documented limits"))
    except (IndexError, ZeroDivisionError) as error:
        return Verdict("unknown", f"its inputs are not what the schema asks for ({error})")


def _partitioned(cases: list[Case], alone: list[Verdict]) -> Iterable[Placed]:
    """Cut once: what cannot be mapped may come first; after that, the first operator that cannot sends all behind it to the CPU.

    Behind an operator of which nothing is known nothing is known either. What comes later in the file but needs nothing of what stays
    on the CPU may be taken along or not: the documentation does not say.
    """
    has_begun = False
    cut: Placed | None = None
    doubt: Placed | None = None
    on_cpu: set[int] = set()
    for case, verdict in zip(cases, alone, strict=True):
        placed = Placed(case, verdict, verdict)
        if verdict.where != "cpu" and cut is not None:
            placed = Placed(case, verdict, _behind(cut, is_reached=not on_cpu.isdisjoint(map(id, case.values))))
        elif verdict.where == "tpu" and doubt is not None:
            placed = Placed(case, verdict, Verdict("unknown", f"it comes behind {_name(doubt)}, of which it is not known"))
        if placed.where == "cpu" and has_begun:
            cut = cut or placed
            on_cpu.update(map(id, case.outputs))
        if verdict.where == "unknown" and cut is None:
            doubt = doubt or placed
        has_begun = has_begun or verdict.where == "tpu"
        yield placed


def _behind(cut: Placed, *, is_reached: bool) -> Verdict:
    if is_reached:
        return Verdict("cpu", f"it comes behind {_name(cut)}, and the graph is cut only once", cut.verdict.rewrite)
    return Verdict("unknown", f"it comes after {_name(cut)} in the file, though it needs nothing of it")


def _name(placed: Placed) -> str:
    return f"{placed.case.kind} {placed.case.name}"


def _since(case: Case) -> int:
    return (SUPPORTED[case.kind].since if case.kind in SUPPORTED else None) or FIRST_RUNTIME
