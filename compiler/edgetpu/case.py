"""One operator of a `.tflite` file as the checks look at it, and what a check says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from compiler.importers.tflite.flatbuffer import FlatModel, Operator, Tensor

MAX_NAME = 48
Where = Literal["tpu", "cpu", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """Where an operator would run, why, and a rewrite that says the same in operators that map; a prediction, never a fact."""

    where: Where
    reason: str
    rewrite: str | None = None


@dataclass(frozen=True)
class Case:
    """One operator and its tensors; an input that is left out is None."""

    operator: Operator
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]

    @property
    def kind(self) -> str:
        """Return the operator's name in the schema."""
        return self.operator.name

    @property
    def values(self) -> list[Tensor]:
        """Return what is computed: no constants, and no state that the operator keeps."""
        return [tensor for tensor in (*self.inputs, *self.outputs) if tensor is not None and tensor.data is None and not tensor.is_variable]

    @property
    def source(self) -> Tensor:
        """Return the first computed input; of an operator that has none, its result."""
        return self.values[0]

    @property
    def result(self) -> Tensor:
        """Return the first output."""
        return self.outputs[0]

    @property
    def name(self) -> str:
        """Return what people can find it by: its first output."""
        return short(self.outputs[0]) if self.outputs else f"number {self.operator.index}"

    def option(self, name: str, default: Any) -> Any:
        """Return a field of the operator's options."""
        return getattr(self.operator.options, name, default)

    def numbers(self, place: int) -> tuple[int, ...] | None:
        """Return the whole numbers of a constant input; None where it is left out or computed."""
        tensor = self.inputs[place] if place < len(self.inputs) else None
        return None if tensor is None or tensor.data is None else tuple(int(value) for value in tensor.data.ravel())


def short(tensor: Tensor) -> str:
    """Return a tensor's name for people: converters join the names of all that they fused."""
    name = tensor.name.split(";")[0]
    return name if len(name) <= MAX_NAME else f"…{name[1 - MAX_NAME :]}"


# Returns a verdict where a limit applies, None where it does not.
Check = Callable[[Case], "Verdict | None"]


def case_of(model: FlatModel, operator: Operator) -> Case:
    """Return an operator with its tensors."""
    inputs = tuple(None if place < 0 else model.tensors[place] for place in operator.inputs)
    return Case(operator, inputs, tuple(model.tensors[place] for place in operator.outputs))
