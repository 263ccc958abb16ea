"""Every JSON message from a device to its fleet; unknown fields are ignored, so that either side may be newer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from contracts.grown import Grown
from contracts.lifecycle import Phase
from contracts.names import LabelKey, LabelValue, ModelName, ReleaseCounter, Runtime, Sha256, TargetName
from contracts.shadow import ShadowPart
from contracts.sketches import Sketch

MAX_MESSAGE_BYTES = 256 * 1024
# How many files a device may name from which a delta could start.
MAX_BASES = 4
MAX_PEM_CHARS = 8192
# A broker saves what it holds every so often, and one that dies forgets what it acknowledged since. A device that lost its link
# therefore says again what was acknowledged within the longer time; its fleet keeps what it knows once.
BROKER_SAVES_S = 30
REPEAT_S = 90.0
# How many classes a window names; the rest of them count under one name.
MAX_CLASSES = 512
# How many rails of power a device names, and how they may be called.
MAX_RAILS = 16
RAIL_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,31}$"
OTHER_CLASSES = "other"
Session = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Counter = Annotated[int, Field(ge=0, le=2**63 - 1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0, le=2**63 - 1)]
Text = Annotated[str, Field(max_length=1000)]
RefusalName = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]


class Message(BaseModel, frozen=True, extra="ignore"):
    """What all uplinks share: `session` names one run of the agent, `sequence` grows by one with each of its messages."""

    session: Session
    sequence: Counter
    sent_at: AwareDatetime


class ReleaseRef(BaseModel, frozen=True, extra="ignore"):
    """One release by its identity; the counter is only there to be compared and shown."""

    model: ModelName
    release: ReleaseCounter
    manifest_sha256: Sha256


class Machine(BaseModel, frozen=True, extra="ignore"):
    """What a device is made of."""

    architecture: str
    system: str
    python: str
    cpu_count: Annotated[int, Field(ge=1)]
    memory_bytes: Bytes
    disk_bytes: Bytes


class Birth(Message, Grown, frozen=True, extra="ignore"):
    """Retained on `birth` at every connect; the will is the same message with `online` false."""

    online: bool
    agent_version: str
    hardware: TargetName
    # Artifact targets this device can run, best first.
    targets: tuple[TargetName, ...]
    # Installed runtimes by name, with their versions.
    runtimes: dict[Runtime, str]
    machine: Machine
    labels: dict[LabelKey, LabelValue] = {}
    # Of the fleet authority by which the device is known: its fingerprint.
    authority: Sha256 | None = None


class Outcome(BaseModel, frozen=True, extra="ignore"):
    """How the newest attempt ended."""

    release: ReleaseRef
    result: Phase
    reason: Text
    at: AwareDatetime


class ModelReport(BaseModel, frozen=True, extra="ignore"):
    """One model's slots and how far its newest release is."""

    phase: Phase
    reason: Text = ""
    # Share of the work that is done, 0 to 1: of the bytes while fetching, of an engine's building while staging.
    progress: Annotated[float, Field(ge=0, le=1)] = 0.0
    attempt: Counter = 0
    current: ReleaseRef | None = None
    previous: ReleaseRef | None = None
    candidate: ReleaseRef | None = None
    last: Outcome | None = None
    # Which of the release's artifacts it runs: the device's own, or `cpu` where there is none for it.
    target: str = ""
    # Where callers on the device reach it, such as http://127.0.0.1:8600.
    endpoint: str = ""


class Reported(Message, Grown, frozen=True, extra="ignore"):
    """Retained on `reported`: what is installed, and how the newest wish is doing."""

    # Newest generation of the desired document that was verified.
    generation: Counter
    models: dict[ModelName, ModelReport]
    # Newest time that a signature vouched for; None before the first.
    newest_time: AwareDatetime | None = None
    # How many wishes were refused since the device was set up, by class of attack, such as `rollback`.
    refused: Annotated[dict[RefusalName, Counter], Field(max_length=32)] = {}
    # The configuration in force and the newest attempt at another one, told like a model's releases: the revision stands for the release
    # counter, the configuration's digest for the manifest's. None from an agent that takes none.
    configuration: ModelReport | None = None


SourceState = Literal["opening", "live", "frozen", "stopped"]


class SourceHealth(Grown, frozen=True, extra="ignore"):
    """The camera, or the folder, that a model looks at by itself."""

    # `opening` until the first answer, `frozen` while every picture is the same to the byte, `stopped` while there is none.
    state: SourceState
    # Its name without a password.
    source: Annotated[str, Field(max_length=1000)] = ""
    # Over the last few seconds.
    frames_per_s: Amount = 0.0
    # Since the worker serves: pictures that came, and those of them that a newer one replaced before the model had time.
    frames: Counter = 0
    dropped: Counter = 0
    # What is wrong, with the source or with the file of its results.
    reason: Text = ""
    # Resident memory of the process that reads it, beside the worker's own; absent while there is none.
    reader_rss_bytes: Bytes | None = None


class WorkerHealth(Grown, frozen=True, extra="ignore"):
    """One worker process, and what really runs in it."""

    state: Literal["starting", "serving", "draining", "restarting", "stopped"]
    restarts: Counter
    rss_bytes: Bytes
    runtime: str = ""
    # Execution provider or delegate in use, and the one the hardware would allow.
    provider: str = ""
    preferred_provider: str = ""
    # How many of the model's operators each provider runs, where the runtime tells.
    placement: Annotated[dict[str, Counter], Field(max_length=8)] | None = None
    # Where the model has one.
    source: SourceHealth | None = None


class Health(Message, Grown, frozen=True, extra="ignore"):
    """On `health`, at the configured interval, not stored by the broker."""

    uptime_s: Amount
    cpu_percent: Amount
    memory_used_bytes: Bytes
    memory_total_bytes: Bytes
    disk_free_bytes: Bytes
    disk_total_bytes: Bytes
    temperature_c: Annotated[float, Field(allow_inf_nan=False)] | None = None
    is_throttled: bool | None = None
    workers: dict[ModelName, WorkerHealth] = {}
    # Share of the time since the health before in which heat slowed a processor down, where the kernel counts it.
    throttled_share: Annotated[float, Field(ge=0, le=1)] | None = None
    # Whether the supply's voltage is too low.
    is_undervolted: bool | None = None
    # Watts that the whole device takes, and each of its rails; one rail may contain others.
    power_w: Amount | None = None
    rails_w: Annotated[dict[Annotated[str, Field(pattern=RAIL_NAME)], Amount], Field(max_length=MAX_RAILS)] | None = None
    # Of the hottest one, where there is more than one.
    edge_tpu_temperature_c: Annotated[float, Field(allow_inf_nan=False)] | None = None


class Latency(BaseModel, frozen=True, extra="ignore"):
    """Milliseconds from request read to response written."""

    mean: Amount
    p50: Amount
    p95: Amount
    p99: Amount
    max: Amount


def latency_of(latencies: Sketch, mean_ms: float, max_ms: float) -> Latency:
    """Return the few numbers of a distribution that is not empty: percentiles of nearest rank, none of them above the maximum."""
    p50, p95, p99 = (min(latencies.quantile(share), max_ms) for share in (0.50, 0.95, 0.99))
    return Latency(mean=mean_ms, p50=p50, p95=p95, p99=p99, max=max_ms)


class InferenceWindow(Message, Grown, frozen=True, extra="ignore"):
    """On `inference`: one worker's work since its last window; windows without requests are not sent.

    Windows that waited long for the link are merged. A gap is told from a merge by `ordinal` and `parts`: of one session and model,
    `ordinal - parts` is the ordinal of the window before, or else just so many windows are missing between the two. The sequence of a
    merged window is its newest part's, and no part was ever sent by itself.
    """

    release: ReleaseRef
    started_at: AwareDatetime
    # Seconds that were watched; of merged windows their sum, without the time between them in which nothing was asked.
    window_s: Amount
    requests: Counter
    errors: Counter
    latency_ms: Latency
    # How often each class came out on top; keys are labels, or indexes as text.
    classes: dict[str, Counter] = {}
    provider: str = ""
    # All latencies in milliseconds, of which `latency_ms` tells a few numbers.
    latencies: Sketch | None = None
    # Scores of the winning classes, where the model gives shares of one.
    confidences: Sketch | None = None
    # Counts the windows of this model in this session, from 1; a merged one has its newest part's.
    ordinal: Counter | None = None
    # Of how many windows it was merged; None for one that is as the worker told it.
    parts: Annotated[int, Field(ge=2, le=2**63 - 1)] | None = None
    # What a candidate made of a share of the same inputs, where one runs beside.
    shadow: ShadowPart | None = None


class DeviceEvent(Message):
    """On `event`: something worth keeping that happened once."""

    kind: Literal["started", "phase", "refused", "worker", "link", "command"]
    severity: Literal["info", "warning", "error"]
    model: ModelName | None = None
    text: Text
    facts: dict[str, str] = {}


class Want(Message, Grown, frozen=True, extra="ignore"):
    """On `want`: the chunks of one file that are still missing, and how many of them may be under way at once."""

    digest: Sha256
    bytes: Bytes
    bitmap: Annotated[str, Field(max_length=1 << 17)]
    window: Annotated[int, Field(ge=1, le=256)]
    # Files that the device holds and the wanted one may follow from: the fleet answers by an offer, or else by chunks.
    bases: Annotated[tuple[Sha256, ...], Field(max_length=MAX_BASES)] = ()
    # What was sent in this round is still under way; in another one, or without one, it counts as lost.
    round: Counter | None = None


class Renew(Message, Grown, frozen=True, extra="ignore"):
    """On `renew`: a request for the next certificate, signed by the next key; the broker knows who asks by the certificate he has."""

    csr: Annotated[str, Field(max_length=MAX_PEM_CHARS)]
    # The newest authority that the device believes: its fingerprint. None before authorities could follow one another.
    authority: Sha256 | None = None


UPLINK_MESSAGES: dict[str, type[Message]] = {
    "birth": Birth,
    "reported": Reported,
    "health": Health,
    "inference": InferenceWindow,
    "event": DeviceEvent,
    "want": Want,
    "renew": Renew,
}
