"""What fleet and device agree on about signatures: names in the TUF repository, and the director's envelope."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from contracts.names import ModelName, ReleaseCounter, TargetName

# DSSE payload type of a Desired document (github.com/secure-systems-lab/dsse, protocol.md).
DESIRED_PAYLOAD_TYPE = "application/vnd.fieldfare.desired+json"
MAX_ENVELOPE_BYTES = 256 * 1024
MAX_TRUST_FILE_BYTES = 512 * 1024

# The TUF target that lists the director's public keys, so that they rotate like everything else.
DIRECTOR_TARGET = "director.json"


# The field of TUF's timestamp that says when it was signed; a device's clock is never behind it.
ISSUED_AT = "issued_at"


class DirectorKeys(BaseModel, frozen=True, extra="forbid"):
    """Content of the director target: public keys by key id, in TUF's key format."""

    keys: dict[str, dict[str, Any]]


class ReleaseTarget(BaseModel, frozen=True, extra="forbid"):
    """The `custom` field of a release's TUF target: what a device must know before it fetches the manifest."""

    model: ModelName
    release: ReleaseCounter
    targets: tuple[TargetName, ...]


# Beside `custom`: a client that does not know it still takes the release, and asks elsewhere.
SOURCES = "sources"
MAX_SOURCES = 8
SourceUrl = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9][^\s?#@]*$", max_length=500)]


class ReleaseSources(BaseModel, frozen=True, extra="forbid"):
    """Servers that hold a release's files by digest, at `<url>/<sha256>`, and answer ranges: as its release key says."""

    sources: Annotated[tuple[SourceUrl, ...], Field(max_length=MAX_SOURCES)] = ()


def release_target_path(model: str, release: int) -> str:
    """Return the TUF target path of a release's manifest."""
    return f"releases/{model}/{release}/manifest.json"


def team_role(model: str) -> str:
    """Return the TUF role that lists the releases which a team signs of its model."""
    return f"model-{model}"


def team_pattern(model: str) -> str:
    """Return the pattern of the target paths that a model's team may sign; TUF's `*` matches no slash."""
    return f"releases/{model}/*/manifest.json"
