"""Decides whether a device is too warm for a candidate that runs in shadow."""

from __future__ import annotations

from agent.core.probation import Heat
from contracts.shadow import ShadowTerms

# Cooler by so much it goes on, so that it does not stop and go at the bound.
COOLED_C = 3.0


def is_too_hot(heat: Heat, terms: ShadowTerms, *, is_resting: bool) -> bool:
    """Say whether the candidate shall rest: above its bound, until cooled, and while heat slows the processor down."""
    if heat.is_throttled:
        return True
    if terms.max_temperature_c is None or heat.temperature_c is None:
        return False
    return heat.temperature_c > terms.max_temperature_c - (COOLED_C if is_resting else 0.0)
