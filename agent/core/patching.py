"""What the control process asks the patcher process, and when a delta is worth asking for."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from contracts.chunks import MAX_FILE_BYTES
from contracts.names import Sha256

# For less, the question costs more than the answer saves.
MIN_TARGET_BYTES = 16 * 1024
MAX_REASON_BYTES = 4096


class PatchOrder(BaseModel, frozen=True, extra="forbid"):
    """Make of `base` and `delta` the file at `target`, which must have this digest and size; all three are paths."""

    base: str
    delta: str
    target: str
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]
