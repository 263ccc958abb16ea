"""What is asked of releases, and of the keys that sign them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from contracts.names import ModelName
from contracts.trust import MAX_TRUST_FILE_BYTES

TrustText = Annotated[str, Field(max_length=MAX_TRUST_FILE_BYTES)]


class NewRelease(BaseModel, frozen=True, extra="forbid"):
    """POST releases: the next list of targets, signed; files are uploaded before."""

    targets: TrustText
    # The model whose team's own list this is; without it the fleet's list.
    team: ModelName | None = None


class TrustChange(BaseModel, frozen=True, extra="forbid"):
    """POST trust: other keys for root, targets, snapshot, timestamp, director or teams, signed by enough of the offline ones."""

    root: TrustText | None = None
    targets: TrustText | None = None
    director: TrustText | None = None


class OnlineKey(BaseModel, frozen=True):
    """The public half of a key that the server made and will use once it is named, in TUF's form."""

    key_id: str
    key: dict[str, Any]


class TrustVersions(BaseModel, frozen=True):
    """What devices are told to follow."""

    root: int
    targets: int
