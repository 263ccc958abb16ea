"""What people ask of the API, and the answers that are no views; shared by server and CLI."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field

from contracts.manifest import ReleaseCounter
from contracts.names import DeviceId, LabelKey, LabelValue, ModelName, TargetName
from contracts.trust import MAX_TRUST_FILE_BYTES

TrustText = Annotated[str, Field(max_length=MAX_TRUST_FILE_BYTES)]
DEFAULT_DEADLINE_S = 1800.0


class Body(BaseModel, frozen=True, extra="forbid"):
    """The body of a request."""


class NewDevice(Body):
    """POST devices."""

    id: DeviceId
    hardware: TargetName
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = {}


class NewRelease(Body):
    """POST releases: the next list of targets, signed; files are uploaded before."""

    targets: TrustText
    # The model whose team's own list this is; without it the fleet's list.
    team: ModelName | None = None


class TrustChange(Body):
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


class NewRollout(Body):
    """POST rollouts: without a release the model's newest."""

    model: ModelName
    query: Annotated[str, Field(max_length=1000)]
    release: ReleaseCounter | None = None
    # A device without an outcome by then has failed.
    deadline_s: Annotated[float, Field(gt=0, le=30 * 86400)] = DEFAULT_DEADLINE_S


class DeviceLogin(BaseModel, frozen=True):
    """How a device reaches the broker; the password is shown this once."""

    host: str
    port: int
    username: str
    password: str


class Provisioning(BaseModel, frozen=True):
    """All that a new device needs."""

    device: str
    broker: DeviceLogin
    # The newest root metadata, exactly as it was signed.
    root: str


class LoginLink(BaseModel, frozen=True):
    """A link that opens the dashboard once."""

    url: str
    expires_at: AwareDatetime
