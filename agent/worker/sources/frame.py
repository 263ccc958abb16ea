"""Decides what a picture is on its way from the process that reads a camera to the worker: a head of nine bytes, then its pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from contracts.source_config import SourceSection

CHANNELS = 3
# As many as callers may send in one photo.
MAX_PIXELS = 1 << 24
MAX_REASON_BYTES = 1000
# What the worker writes whenever it wants a picture.
ASK = b"?"
# Kind, then height and width; of a reason its length and 0.
HEAD = struct.Struct("!cII")
PICTURE, NOTHING_NEW, TROUBLE = b"P", b"N", b"T"


class Order(BaseModel, frozen=True, extra="forbid"):
    """What a reader is told, as its first line."""

    source: SourceSection
    # Height and width that a picture keeps at least; a larger one is made smaller by whole numbers of pixels where it is read.
    least: tuple[int, int] | None = None


@dataclass(frozen=True)
class Frame:
    """One picture: rows of RGB bytes."""

    height: int
    width: int
    pixels: bytes
    taken_at: datetime

    def is_same_picture(self, other: Frame | None) -> bool:
        """Say whether not even one byte differs."""
        return other is not None and (self.height, self.width, self.pixels) == (other.height, other.width, other.pixels)
