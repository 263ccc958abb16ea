"""What a delta pairs: one tensor's words as they lie in a model file."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.delta.layout import Range, Word


@dataclass(frozen=True)
class Weights:
    """One tensor's bytes in a file; constants of a form without names have an empty one."""

    name: str
    kind: Word
    place: Range
