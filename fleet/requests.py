"""What people ask of the API, and the answers that are no views; shared by server and CLI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from contracts.commands import MAX_LIFE, Kind
from contracts.configuration import MAX_SETTINGS, SettingPath, Settings
from contracts.manifest import ReleaseCounter
from contracts.names import DeviceId, LabelKey, LabelValue, ModelName, TargetName
from contracts.trust import MAX_TRUST_FILE_BYTES

TrustText = Annotated[str, Field(max_length=MAX_TRUST_FILE_BYTES)]
TokenName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
UserName = TokenName
RoleName = Literal["viewer", "operator", "admin"]
# How long it must be is the server's to say, which does not repeat it.
PasswordText = Annotated[str, Field(max_length=1024, repr=False)]
QueryText = Annotated[str, Field(min_length=1, max_length=1000)]
GroupName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
SizeText = Annotated[str, Field(pattern=r"^([0-9]{1,7}|[0-9]{1,3}(\.[0-9]{1,4})?%)$")]
GateName = Literal["errors", "p95", "restarts", "temperature", "drift", "agreement", "confidence"]
DEFAULT_DEADLINE_S = 1800.0
DEFAULT_PATIENCE_S = 3600.0
DEFAULT_TOKEN_LIFE_S = 3600.0
DEFAULT_COMMAND_LIFE_S = 300.0


class Body(BaseModel, frozen=True, extra="forbid"):
    """The body of a request."""


class NewEnrolmentToken(Body):
    """POST enrolment-tokens: what machines that come with it will be."""

    # The one device it is for, and the only way back for one that was revoked; None leaves the name to the machine.
    device: DeviceId | None = None
    hardware: TargetName
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = {}
    uses: Annotated[int, Field(ge=1, le=100_000)] = 1
    life_s: Annotated[float, Field(gt=0, le=365 * 86400)] = DEFAULT_TOKEN_LIFE_S

    @model_validator(mode="after")
    def _one_name_is_for_one_machine(self) -> NewEnrolmentToken:
        if self.device is not None and self.uses > 1:
            raise ValueError("one use for a token that names its device")
        return self


class SimulatedDevice(Body):
    """A device that is played."""

    id: DeviceId
    hardware: TargetName
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = {}


class NewSimulatedDevices(Body):
    """POST simulated-devices: they need no certificates, because only the server's own user can play them."""

    devices: Annotated[tuple[SimulatedDevice, ...], Field(min_length=1, max_length=1000)]


class NewToken(Body):
    """POST tokens: a person or a program that may use the API."""

    name: TokenName
    role: RoleName
    # None: until it is revoked.
    life_s: Annotated[float, Field(gt=0, le=10 * 365 * 86400)] | None = None


class NewUser(Body):
    """POST users: a person who may sign in by a password."""

    name: UserName
    role: RoleName
    password: PasswordText


class NewPassword(Body):
    """PUT users/{name}/password."""

    password: PasswordText


class NewRole(Body):
    """PUT users/{name}/role."""

    role: RoleName


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
    """POST rollouts: without a release the model's newest, without a strategy to all at once."""

    model: ModelName
    query: Annotated[str, Field(max_length=1000)]
    release: ReleaseCounter | None = None
    strategy: Literal["all-at-once", "phased", "canary", "shadow", "split"] = "all-at-once"
    # How much of the fleet is reached with each wave, such as 1%, 25 and at last 100%; None: the strategy's own.
    waves: Annotated[tuple[SizeText, ...], Field(min_length=1, max_length=50)] | None = None
    # How much worse than the control each may be: errors as a share of requests, p95 as a multiple, restarts an hour,
    # temperature in degrees, drift as a population stability index; of a shadow also agreement, the least share of inputs
    # with the live release's answer, and confidence, what the winning score may lose.
    gate: dict[GateName, Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]] | None = None
    # Devices that may be lost among those reached so far, such as 5% or 3; None: the strategy's own.
    threshold: SizeText | None = None
    soak_s: Annotated[float, Field(ge=0, le=30 * 86400)] | None = None
    # How long a gate may lack evidence before a person is asked.
    patience_s: Annotated[float, Field(gt=0, le=30 * 86400)] = DEFAULT_PATIENCE_S
    # A device that was met and has no outcome by then has failed.
    deadline_s: Annotated[float, Field(gt=0, le=30 * 86400)] = DEFAULT_DEADLINE_S
    # A device that was not met by then is no longer waited for; None: as long as its deadline.
    contact_s: Annotated[float, Field(gt=0, le=365 * 86400)] | None = None
    # When devices may be offered the release by their own clocks, such as 22:00-06:00.
    window: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")] | None = None
    # Time zone of devices without the label tz.
    zone: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}$")] = "UTC"
    rate_per_min: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    approval: bool = False
    newcomers: bool = False
    # Whether a stop returns those that committed already; None: only a canary's.
    take_back: bool | None = None
    # Of a split: the release of the other half, and for how long both are compared.
    rival: ReleaseCounter | None = None
    hold_s: Annotated[float, Field(ge=0, le=365 * 86400)] | None = None
    # Of a shadow: which part of the live inputs it sees, how many of them a device must tell of before it counts, of one core what it may
    # take, and the device's temperature above which it pauses.
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    min_inputs: Annotated[int, Field(ge=1, le=10**9)] | None = None
    max_cpu: Annotated[float, Field(gt=0, le=64)] | None = None
    max_temperature_c: Annotated[float, Field(ge=-50, le=150)] | None = None


class NewGroup(Body):
    """PUT groups/{group}: whoever a query means whenever it is asked, or a list of devices."""

    query: QueryText | None = None
    devices: Annotated[tuple[DeviceId, ...], Field(max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _says_one_of_both(self) -> NewGroup:
        if (self.query is None) is (self.devices is None):
            raise ValueError("either a query or devices")
        return self


class LabelChange(Body):
    """POST device-labels: all of it happens, or nothing."""

    # By device: the version of the labels that the author saw; None for whatever they are.
    devices: Annotated[dict[DeviceId, Version | None], Field(min_length=1, max_length=5000)]
    put: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = {}
    drop: Annotated[tuple[LabelKey, ...], Field(max_length=32)] = ()


class NewCommand(Body):
    """POST devices/{device}/commands: what a device shall do once; arguments are those of its kind, such as a benchmark's runs."""

    kind: Kind
    arguments: Annotated[dict[str, str | int], Field(max_length=8)] = {}
    # A device that does not hear it by then never obeys it.
    life_s: Annotated[float, Field(ge=1, le=MAX_LIFE.total_seconds())] = DEFAULT_COMMAND_LIFE_S


class ConfigurationChange(Body):
    """POST configurations: settings of agents by path, such as telemetry.health_interval_s, on all devices that the query means."""

    query: Annotated[str, Field(max_length=1000)]
    set: Settings = {}
    # Those that each device's own agent.toml shall decide again.
    unset: Annotated[tuple[SettingPath, ...], Field(max_length=MAX_SETTINGS)] = ()
    # Say what would change, and change nothing.
    dry_run: bool = False


class GivenToken(BaseModel, frozen=True):
    """An enrolment token; its text is shown this once."""

    token: str
    expires_at: AwareDatetime


class GivenAccess(BaseModel, frozen=True):
    """An API token, shown this once, and how to reach the API from elsewhere."""

    name: str
    token: str
    url: str
    # The fleet authority's certificate, by which the server is recognised.
    ca: str


class RootState(BaseModel, frozen=True):
    """One root of the fleet's authority."""

    # Hex SHA-256 of the certificate in DER.
    fingerprint: str
    ends_at: AwareDatetime


class Dependent(BaseModel, frozen=True):
    """A device that would be cut off without the present root."""

    device: str
    online: bool


class AuthorityState(BaseModel, frozen=True):
    """The fleet's authority, and how many devices have yet to come over to the one that follows."""

    present: RootState
    following: RootState | None
    # Whether the present one goes when the server starts again.
    is_retiring: bool
    # Devices that would be cut off without the present one; 0 where none follows it.
    dependents: int


class Retirement(BaseModel, frozen=True, extra="forbid"):
    """The order to let the present root go."""

    # Whether devices that depend on it are turned out; else there must be none.
    leaves: bool = False


class SimulationDoor(BaseModel, frozen=True):
    """The broker's socket for simulated devices, on the server's machine."""

    path: str


class LoginLink(BaseModel, frozen=True):
    """A link that opens the dashboard once."""

    url: str
    expires_at: AwareDatetime
