"""What the compiler asks of a place that remembers bytes by key."""

from __future__ import annotations

from typing import Protocol


class Store(Protocol):
    """Never fails a compilation: what cannot be read was never there, what cannot be kept is forgotten."""

    def get(self, key: str) -> bytes | None:
        """Return what was put under this key, whole and unchanged, or None."""

    def put(self, key: str, content: bytes) -> None:
        """Remember, if there is room."""


class Nowhere:
    """Remembers nothing: every step is done."""

    def get(self, key: str) -> bytes | None:
        """Return None."""

    def put(self, key: str, content: bytes) -> None:
        """Forget."""
