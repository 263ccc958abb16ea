"""What compiling did to a classifier's choices: which classes lost, how many answers changed, and what is taken for what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.manifest import Flips, WorstClass

Classes = npt.NDArray[np.int64]
# Past this many classes a table of all pairs is neither read nor printed.
MAX_TABLE_CLASSES = 40


@dataclass(frozen=True)
class Choices:
    """Both models' choices on the same samples, [n], and the right ones where they are known."""

    before: Classes
    after: Classes
    truth: Classes | None
    classes: int

    def flips(self) -> Flips:
        """Count the answers that changed, and which way."""
        changed = int((self.before != self.after).sum())
        if self.truth is None:
            return Flips(changed=changed)
        was_right, is_right = self.before == self.truth, self.after == self.truth
        return Flips(changed=changed, lost=int((was_right & ~is_right).sum()), gained=int((~was_right & is_right).sum()))

    def worst_class(self) -> WorstClass | None:
        """Return the class whose share of right answers fell most, the first of equals; None without labels."""
        if self.truth is None:
            return None
        samples = np.bincount(self.truth, minlength=self.classes)
        before = np.bincount(self.truth[self.before == self.truth], minlength=self.classes)
        after = np.bincount(self.truth[self.after == self.truth], minlength=self.classes)
        met = np.flatnonzero(samples)
        worst = int(met[((before - after)[met] / samples[met]).argmax()])
        count = int(samples[worst])
        return WorstClass(index=worst, float_value=float(before[worst] / count), compiled_value=float(after[worst] / count), samples=count)

    def table(self) -> tuple[tuple[int, ...], ...] | None:
        """Return the compiled model's confusion matrix: a row for each right class, a column for each choice."""
        if self.truth is None or self.classes > MAX_TABLE_CLASSES:
            return None
        counts = np.bincount(self.truth * self.classes + self.after, minlength=self.classes**2)
        return tuple(tuple(row) for row in counts.reshape(self.classes, self.classes).tolist())


def choices_of(before: Classes | None, after: Classes | None, labels: Classes | None, classes: int | None) -> Choices | None:
    """Return both models' choices; None for a model that chooses nothing."""
    if before is None or after is None or classes is None:
        return None
    is_class = labels is not None and labels.min() >= 0 and labels.max() < classes
    return Choices(before, after, labels if is_class else None, classes)
