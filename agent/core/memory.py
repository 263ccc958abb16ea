"""Decides what a device remembers of the wishes it judged: the newest generation, the newest time, and the attacks it refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from agent.core.clock_floor import Floor

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Memory(BaseModel, frozen=True, extra="ignore"):
    """What survives a restart."""

    generation: Count = 0
    # Digest of the director's list of keys under which that generation was verified.
    director: str = ""
    # Of the wish of that generation; empty where it had none.
    nonce: str = ""
    floor: Floor | None = None
    # Refusals by class.
    refused: Mapping[str, Count] = {}

    def oldest_generation(self, director: str) -> int:
        """Return the generation below which a wish is a replay.

        Under other keys counting starts over: no wish of the old ones verifies any more, and a thief may have counted to the end.
        """
        return self.generation if director == self.director else 0

    def has_seen_another(self, director: str, generation: int, nonce: str) -> bool:
        """Say whether a wish of this very generation was followed that is not this one.

        A director signs one wish of a generation. Where there are two, as after a loss of the server's memory, whoever can publish would
        else lead the device to and fro between them.
        """
        return bool(self.nonce) and (director, generation) == (self.director, self.generation) and nonce != self.nonce

    def after_refusal(self, refusal: str) -> Memory:
        """Return the memory with one more refusal."""
        return self.model_copy(update={"refused": {**self.refused, refusal: self.refused.get(refusal, 0) + 1}})
