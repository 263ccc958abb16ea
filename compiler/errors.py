"""What can be wrong with a model, its data or the options, and what the gate can refuse; each error is one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from contracts.errors import FieldfareError


class CompilerError(FieldfareError):
    """Root of the compiler's errors."""


class InputError(CompilerError):
    """Something that came from outside is not what it must be; `place` is a file or an option."""

    def __init__(self, place: str, field: str, expected: str, found: str) -> None:
        super().__init__(f"{place}: {field}: expected {expected}, found {_one_line(found)}")
        self.place = place
        self.field = field
        self.expected = expected
        self.found = found


class OptionError(InputError):
    """An option of the command."""


class ModelError(InputError):
    """The model file."""


class DataError(InputError):
    """A file of samples, or the labels."""


class DeclaredError(CompilerError):
    """The float model itself is not as good on these samples as it was declared to be; most often it is fed the wrong numbers."""

    def __init__(self, place: str, metric: str, declared: float, found: float, interval: tuple[float, float], samples: int) -> None:
        super().__init__(
            f"{place}: the float model: expected {metric} {declared:g} as declared, found {found:.4f} "
            f"({interval[0]:.4f} to {interval[1]:.4f} on {samples} samples); check --preprocess (scale, channels, layout) and labels"
        )
        self.declared = declared
        self.found = found


class TargetError(CompilerError):
    """This model cannot be compiled for this target."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"{target}: {_one_line(reason)}")
        self.target = target


class GateError(CompilerError):
    """The compiled model lost more than it may, or that it did not could not be proven: nothing is written."""

    exit_status: ClassVar[int] = 1

    def __init__(self, refusals: Sequence[str]) -> None:
        super().__init__(f"refused by the gate, nothing was written: {'; '.join(refusals)}")


def _one_line(text: str, limit: int = 300) -> str:
    words = " ".join(text.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
