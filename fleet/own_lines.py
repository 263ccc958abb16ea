"""Decides by which name the broker knows the fleet's own lines: one that nobody can guess, and that outlives a certificate."""

from __future__ import annotations

import hashlib
from pathlib import Path


def line_file(identity: Path) -> Path:
    """Return where the name is kept once key and certificate are not what it was made of any more."""
    return identity.with_suffix(".line")


def line_name(identity: Path) -> str:
    """Return the part of a client id that only the owner of the key can tell: whoever connects by it ends our connection."""
    kept = line_file(identity)
    return kept.read_text() if kept.exists() else hashlib.sha256(identity.read_bytes()).hexdigest()[:32]
