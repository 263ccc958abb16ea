"""What is kept of the answer to a request that may come again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptAnswer:
    """The first answer; its body is sealed."""

    status: int
    # The version that it told; empty where there is none.
    etag: str
    sealed: bytes
