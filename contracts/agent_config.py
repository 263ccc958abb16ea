"""An agent's configuration file, agent.toml: written when a device enrols in a fleet, read when its agent starts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from contracts.names import DeviceId, LabelKey, LabelValue, Port, TargetName
from contracts.source_config import SourceSection, check_one_each

SourceName = Literal["mqtt", "https", "folder"]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$", max_length=2000)]
FleetUrl = Annotated[str, Field(pattern=r"^(|https://[^\s?#]+)$", max_length=2000)]
SourceHost = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$", max_length=260)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Section(BaseModel, frozen=True, extra="forbid"):
    """A table of the file; an unknown key is an error, because it is most likely a misspelt one."""


class DeviceSection(Section):
    """Who this device is."""

    id: DeviceId
    # Its profile, which is also the artifact target it prefers; `cpu` is its second choice.
    hardware: TargetName
    # Relative paths in this file start from the file's own folder.
    state_dir: str = "state"
    labels: dict[LabelKey, LabelValue] = {}

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the artifact targets this device can run, best first."""
        return (self.hardware,) if self.hardware == "cpu" else (self.hardware, "cpu")


class BrokerSection(Section):
    """Where the fleet listens, and the files of mutual TLS: the broker knows the device by its certificate's name."""

    host: Annotated[str, Field(pattern=r"^[^\s/]+$", max_length=253)]
    port: Port
    # The fleet authority's certificate, the only one that the device believes.
    ca_file: str = "ca.pem"
    # The device's key and certificate, with which it was enrolled; a renewed one is kept with the state.
    identity_file: str = "identity.pem"
    # The broker takes a device for dead after one and a half of these without a word.
    keepalive_s: Annotated[int, Field(ge=1, le=3600)] = 15


class TrustSection(Section):
    """What the device trusts from its first day on."""

    root_file: str = "root.json"


class ServeSection(Section):
    """Where callers on the device reach its models; the first model takes `port`, each further one the next free one."""

    host: str = "127.0.0.1"
    port: Port = 8600


class TelemetrySection(Section):
    """How often the device speaks of itself, and how much of it waits while there is no link."""

    health_interval_s: Seconds = 10.0
    window_s: Seconds = 10.0
    # What waits on the disk. When it is full, windows are merged, up to an hour each, before the oldest ones are dropped.
    outbox_max_bytes: Annotated[int, Field(ge=1 << 18, le=1 << 30)] = 16 << 20
    # Windows that waited longer are dropped; counted while the agent runs, so that no clock can purge them.
    outbox_max_age_s: Annotated[float, Field(ge=3600, le=5 * 365 * 86400, allow_inf_nan=False)] = 90 * 86400.0


class UpdateSection(Section):
    """How long a new release is watched, and how much worse than the one before it may be; past a limit it is rolled back."""

    probation_s: Seconds = 30.0
    # Share of requests that fail, while no release before it shows what share is usual; then by how much the share may rise.
    max_error_share: Share = 0.5
    max_error_rise: Share = 0.05
    # Of the 95th percentile of latency.
    max_latency_ratio: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 2.0
    # Of a worker's resident memory, once it grows steadily.
    max_growth_mib_per_h: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 256.0
    max_temperature_rise_c: Annotated[float, Field(gt=0, le=200, allow_inf_nan=False)] = 20.0
    # An accelerator that one process alone can hold, as a Coral: for how long nobody may serve, so that a new release can be proved there.
    # Callers wait meanwhile, none is refused. 0 for never: a release that cannot be proved beside the one that serves is rolled back.
    max_pause_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0


class WorkerSection(Section):
    """What the process that serves one model may take."""

    # One call of the runtime takes longer only where it hangs; a model that is slow in its golden test is given twenty times that.
    inference_s: Seconds = 10.0
    # Resident memory beyond which it is replaced without a gap; 0 is half of the device's.
    memory_mib: Annotated[int, Field(ge=0, le=1 << 24)] = 0


class StorageSection(Section):
    """How much of the disk releases may take; the current one and the previous one stay in any case."""

    # Releases before the current one that stay for each model, the previous one counted in.
    earlier_releases: Annotated[int, Field(ge=1, le=100)] = 1
    # Of all releases together; what goes first is the one furthest behind. 0 is no limit. A full disk makes room in any case.
    max_bytes: Annotated[int, Field(ge=0, le=2**53)] = 0


class RuntimeSection(Section):
    """What may run a model, and what building an accelerator's engine may cost."""

    # Whether a release that was compiled for an accelerator may run on the CPU, wholly or in part, where the accelerator does not take it.
    # Off, because ten times the latency is no answer that anybody rolled out: the release is refused by name, and the one before serves on.
    allow_cpu_fallback: bool = False
    # How often the system below is looked at; a release proves itself anew when it has changed.
    look_s: Seconds = 60.0
    # TensorRT's effort, 0 to 5, and the scratch memory that it may take.
    engine_effort: Annotated[int, Field(ge=0, le=5)] = 3
    engine_workspace_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 1 << 30
    # A build that takes longer has failed.
    engine_build_s: Seconds = 3600.0
    # All engines on the disk together.
    engine_cache_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 44)] = 4 << 30


class DeliverySection(Section):
    """Where files come from, how fast and at what time of the day."""

    # Which sources are tried, in this order; one that fails in mid-download is followed by the next.
    sources: Annotated[tuple[SourceName, ...], Field(min_length=1, max_length=3)] = ("mqtt", "https", "folder")
    # The fleet's own server, such as https://fleet.example.org:8481; it is shown this device's certificate. Empty for none.
    server: FleetUrl = ""
    # Servers that hold files by digest, such as https://cdn.example.org/artifacts: `/<sha256>` is added, ranges are asked for.
    urls: Annotated[tuple[HttpUrl, ...], Field(max_length=8)] = ()
    # Hosts of which a signed release may name servers for its files, which are asked after `urls`: cdn.example.org, cdn.example.org:8443,
    # *.example.org. None by default: whoever releases must not say whom a device calls.
    release_hosts: Annotated[tuple[SourceHost, ...], Field(max_length=16)] = ()
    # Bundles on this device or on a stick: a folder, a .tar, or a folder of either; empty for none.
    folder: str = ""
    # How much the device asks for; what others asked for at the same time comes with it. 0 is no limit.
    max_bytes_per_s: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] = 0.0
    # Files are asked for between these times of the device's day only, such as 22:00-06:00; empty for always.
    hours: Annotated[str, Field(pattern=r"^(|([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9])$")] = ""


class CommandsSection(Section):
    """What the fleet's people may ask of this device beside its work; each such command is signed, and noted down here."""

    # Whether they may be shown what its cameras see.
    snapshot: bool = False


class AgentConfig(Section):
    """The whole file."""

    device: DeviceSection
    broker: BrokerSection
    trust: TrustSection = TrustSection()
    serve: ServeSection = ServeSection()
    telemetry: TelemetrySection = TelemetrySection()
    update: UpdateSection = UpdateSection()
    runtime: RuntimeSection = RuntimeSection()
    worker: WorkerSection = WorkerSection()
    delivery: DeliverySection = DeliverySection()
    storage: StorageSection = StorageSection()
    commands: CommandsSection = CommandsSection()
    # Written as [[source]], once for each camera.
    source: Annotated[tuple[SourceSection, ...], Field(max_length=16), AfterValidator(check_one_each)] = ()
