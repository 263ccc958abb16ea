"""What devices answered: how often which class, with what scores; `drift` reckons how far it has moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.sketches import Sketch, merged

# Fewer answers, now or before, say nothing of how they are distributed.
MIN_ANSWERS = 100


@dataclass(frozen=True)
class Answers:
    """How often each class came out on top, and with what scores; the latter are empty where they are not told."""

    classes: Mapping[str, int]
    confidences: Sketch

    @property
    def count(self) -> int:
        """Return how many classes were told."""
        return sum(self.classes.values())


NO_ANSWERS = Answers({}, Sketch(steps=(), counts=()))


def pooled(answers: Sequence[Answers]) -> Answers:
    """Return what is usual among devices."""
    classes: Counter[str] = Counter()
    for one in answers:
        classes.update(one.classes)
    return Answers(classes, merged(one.confidences for one in answers))
