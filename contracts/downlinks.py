"""Every JSON message from a fleet to its device; unknown fields are ignored, so that either side may be newer."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from contracts.configuration import Configuration
from contracts.grown import Grown
from contracts.manifest import FileEntry
from contracts.messages import MAX_PEM_CHARS, Counter, ReleaseRef, Text
from contracts.names import DeviceId, ModelName, Sha256
from contracts.shadow import ShadowTerms


class Offer(BaseModel, frozen=True, extra="ignore"):
    """On `offer`: a delta that leads from a base which the device named to the file it wants; unsigned, so only the result counts."""

    base: Sha256
    target: Sha256
    # Its chunks are asked for and published as those of any file.
    delta: FileEntry


class Succession(BaseModel, frozen=True, extra="ignore"):
    """On the trust tree's `authority`, retained while one fleet authority follows another; an empty message ends it."""

    # The next one's certificate in PEM, by its own signature.
    certificate: Annotated[str, Field(max_length=MAX_PEM_CHARS)]
    # The same name and key, by the signature of the one before: who believes that one may believe this one.
    voucher: Annotated[str, Field(max_length=MAX_PEM_CHARS)]


class Renewed(BaseModel, frozen=True, extra="ignore"):
    """On `certificate`, not retained: the answer to a request for a renewal."""

    # PEM; None when there is none, and then `refusal` says why.
    certificate: Annotated[str, Field(max_length=MAX_PEM_CHARS)] | None = None
    refusal: Text = ""


class ShadowWish(Grown, frozen=True, extra="ignore"):
    """A release that shall run beside the one that serves, and answer nobody."""

    release: ReleaseRef
    terms: ShadowTerms


class Desired(Grown, frozen=True, extra="ignore"):
    """The signed wish for one device: for each model the one release it shall run, and how its agent shall be set."""

    device: DeviceId
    generation: Counter
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    models: dict[ModelName, ReleaseRef]
    # None leaves the device as it is; back to agent.toml alone is a configuration that sets nothing.
    configuration: Configuration | None = None
    # Candidates by model. What serves is named by `models` all the same, so that an agent that knows no shadows goes on as it is.
    shadow: dict[ModelName, ShadowWish] | None = None
    # Tells two documents of one generation apart: a device follows the one that it saw first. None from a director that gives none.
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
