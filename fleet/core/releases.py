"""Decides whether a release may follow those before it, and what its gate evidence amounts to."""

from __future__ import annotations

from contracts.manifest import Manifest, Verdict
from fleet.errors.releases import CounterDoesNotGrowError

_FROM_BEST_TO_WORST: tuple[Verdict, ...] = ("proven", "unproven", "failed")


def check_counter_grows(model: str, found: int, newest: int) -> None:
    """Raise CounterDoesNotGrowError unless `found` is above the newest counter of the model, 0 when there is none."""
    if found <= newest:
        raise CounterDoesNotGrowError(model, found, newest)


def worst_verdict(manifest: Manifest) -> Verdict:
    """Return the worst gate verdict among the targets."""
    return max((artifact.gate.verdict for artifact in manifest.artifacts.values()), key=_FROM_BEST_TO_WORST.index)


def drops_of(manifest: Manifest) -> dict[str, float]:
    """Return each target's drop."""
    return {target: artifact.gate.drop for target, artifact in sorted(manifest.artifacts.items())}
