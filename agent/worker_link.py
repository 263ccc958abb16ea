"""What the control process and a worker say to each other: JSON lines over an inherited socket pair."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter

from contracts.agent_config import RuntimeSection
from contracts.messages import InferenceWindow, SourceHealth
from contracts.shadow import ShadowPart
from contracts.source_config import SourceSection

MAX_LINE_BYTES = 256 * 1024
Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Line(BaseModel, frozen=True, extra="forbid"):
    """One line of the link."""


class WorkerSetup(Line):
    """All that a worker is told at its start, as one JSON argument; file descriptors are inherited."""

    model: str
    # A release's folder: manifest.json and the files of `target`, already checked by digest.
    release_dir: str
    target: str
    link_fd: int
    # Already bound and listening; the worker accepts only after Serve. One Unix, one TCP.
    listen_fds: tuple[int, ...]
    # File with the bearer token that callers over TCP must show.
    token_file: str
    window_s: Annotated[float, Field(gt=0)]
    threads: Annotated[int, Field(ge=1)] = 1
    runtime: RuntimeSection = RuntimeSection()
    # Writable private memory that the kernel gives it at most; None where that would count what an accelerator's driver only reserves.
    data_bytes: Annotated[int, Field(gt=0)] | None = None


class Look(Line):
    """Control: look through this source while you serve. Said here, for an address may hold a password, which nobody may read in `ps`."""

    kind: Literal["look"] = "look"
    source: SourceSection


class Serve(Line):
    """Control: accept connections from now on."""

    kind: Literal["serve"] = "serve"


class Drain(Line):
    """Control: accept no more, answer what is under way, close every connection by a response, then exit 0."""

    kind: Literal["drain"] = "drain"
    deadline_s: Annotated[float, Field(gt=0)]


class Prove(Line):
    """Control: run the golden set once more, between requests, and answer by Proven."""

    kind: Literal["prove"] = "prove"


class Snapshot(Line):
    """Control: write the newest frame as a JPEG to `file`, and answer by SnapshotTaken with the same id."""

    kind: Literal["snapshot"] = "snapshot"
    id: str
    # A path in a folder of the agent's own, where nothing lies yet.
    file: str
    max_bytes: Annotated[int, Field(gt=0)]


class Reflect(Line):
    """Control, to the serving worker: show a share of all answers to the candidate that listens there; to nobody where it is empty."""

    kind: Literal["reflect"] = "reflect"
    socket: str = ""
    share: Annotated[float, Field(ge=0, le=1)] = 0.0


class Shadow(Line):
    """Control, to a candidate that is ready: answer what the serving worker shows at `socket`, and tell how both compare, until Serve."""

    kind: Literal["shadow"] = "shadow"
    socket: str
    # Of one core.
    max_cpu_share: Annotated[float, Field(gt=0)]


class Rest(Line):
    """Control, to a candidate in shadow: answer nothing while it is so."""

    kind: Literal["rest"] = "rest"
    is_resting: bool


class Ready(Line):
    """Worker: the model is loaded and the golden set was run; if it passed, Serve may follow."""

    kind: Literal["ready"] = "ready"
    runtime: str
    runtime_version: str
    # What really runs, and what the hardware's best would have been.
    provider: str
    preferred_provider: str
    # How many operators each provider runs; empty where the runtime does not tell.
    placement: Annotated[dict[str, Count], Field(max_length=8)] = {}
    load_s: Finite
    golden_passed: bool
    golden_samples: Count
    # Largest absolute difference found, and the one allowed.
    golden_error: Finite
    golden_tolerance: Finite
    reason: str = ""
    # The slowest call of the runtime once it was warm: what an inference takes on this device.
    inference_s: float = 0.0
    # What runs it serves no other process as long as this one lives.
    is_exclusive: bool = False


class Proven(Line):
    """Worker: how the golden set went once more."""

    kind: Literal["proven"] = "proven"
    passed: bool
    reason: str = ""


class SnapshotTaken(Line):
    """Worker: the picture lies at `file`, or there is none, and `reason` says why."""

    kind: Literal["snapshot_taken"] = "snapshot_taken"
    id: str
    # None when there is no picture.
    file: str | None = None
    reason: str = ""


class Failed(Line):
    """Worker: it cannot serve, and exits."""

    kind: Literal["failed"] = "failed"
    reason: str


class Serving(Line):
    """Worker: it accepts connections."""

    kind: Literal["serving"] = "serving"


class Pulse(Line):
    """Worker, every second: its loop turns, which says nothing of the thread that runs the model."""

    kind: Literal["pulse"] = "pulse"
    requests: int
    errors: int
    in_flight: int
    # How long the runtime has been busy with the call that it is in; 0 while it is in none.
    inference_age_s: float = 0.0
    rss_bytes: int = 0
    # Where it serves and has one.
    source: SourceHealth | None = None


class Window(Line):
    """Worker: statistics of a window with requests. Session, sequence and sent_at are filled in by the control process."""

    kind: Literal["window"] = "window"
    window: InferenceWindow


class Compared(Line):
    """A candidate in shadow: how it compares since the last such line."""

    kind: Literal["compared"] = "compared"
    part: ShadowPart


ControlLine = Annotated[Look | Serve | Drain | Prove | Snapshot | Reflect | Shadow | Rest, Field(discriminator="kind")]
WorkerLine = Annotated[Ready | Failed | Serving | Pulse | Window | Proven | SnapshotTaken | Compared, Field(discriminator="kind")]

CONTROL_LINE: TypeAdapter[ControlLine] = TypeAdapter(ControlLine)
WORKER_LINE: TypeAdapter[WorkerLine] = TypeAdapter(WorkerLine)
