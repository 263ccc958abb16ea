"""What a pass is: a change of a graph that leaves what it computes as it was, and a claim that holds afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from compiler.errors import ModelError

# Returns None where the claim holds, else what was found instead, naming the node or tensor.
Check = Callable[[onnx.ModelProto], str | None]


def nothing(_model: onnx.ModelProto) -> None:
    """Claim nothing."""


@dataclass(frozen=True)
class Pass:
    """One transformation: `requires` is asked of the model that comes in, `ensures` of what the change made of it."""

    promise: str
    apply: Callable[[onnx.ModelProto], None]
    ensures: Check = nothing
    requires: Check = nothing

    def __call__(self, model: onnx.ModelProto, place: str) -> None:
        """Change `model`; raise ModelError, which names `place`, where the promise cannot be kept."""
        self._check(self.requires, model, place)
        self.apply(model)
        self._check(self.ensures, model, place)

    def _check(self, check: Check, model: onnx.ModelProto, place: str) -> None:
        found = check(model)
        if found is not None:
            raise ModelError(place, "graph", self.promise, found)
