"""Decides how long nobody may serve while a release proves itself on an accelerator that one process alone can hold."""

from __future__ import annotations


def candidate_s(allowed_s: float, return_s: float) -> float:
    """Return how long a candidate may hold the accelerator until it serves, nothing or less for not at all.

    Of the pause that policy allows, what the worker that makes way needs to serve again, should the candidate fail, is kept back.
    """
    return allowed_s - return_s if allowed_s > 0 else 0.0


def refusal(provider: str, allowed_s: float, return_s: float) -> str:
    """Say why nothing else can run on what the worker that serves holds."""
    least_s = max(1, round(2 * return_s + 0.5))
    return (
        f"{provider}: expected that a second process can use it, found that one process alone holds it, and that a pause of "
        f"{allowed_s:g} s is allowed; set update.max_pause_s to {least_s} or more, of which {return_s:.1f} s are for the way back"
    )
