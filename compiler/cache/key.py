"""Decides what a step's result is known by: the step, the ground it stands on, and the content of all that it reads."""

from __future__ import annotations

from contracts.codec import Json, canonical, sha256_of


def key_of(step: str, ground: str, parts: Json) -> str:
    """Return 64 hex digits that differ when anything differs.

    `parts` are digests of content, and those options alone that the step reads: never a path, a time or an object's address.
    Raises ValueError for NaN and infinities.
    """
    return sha256_of(canonical({"step": step, "ground": ground, "parts": parts}))
