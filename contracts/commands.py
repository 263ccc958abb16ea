"""Commands to one device, each signed and obeyed once, and what a device answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, model_validator

from contracts.grown import Grown
from contracts.messages import Amount, Counter, Message, ReleaseRef, Text
from contracts.names import DeviceId, ModelName, TargetName

# DSSE payload type of a Command; a wish can never be taken for a command, nor the other way round.
COMMAND_PAYLOAD_TYPE = "application/vnd.fieldfare.command+json"
MAX_COMMAND_BYTES = 16 * 1024
# However long an operator may wait: an intercepted command is worth nothing afterwards.
MAX_LIFE = timedelta(days=1)

MAX_LOG_BYTES = 64 * 1024
MAX_LOG_LINES = 5000
MAX_JPEG_BYTES = 512 * 1024
MAX_RUNS = 10_000
# A picture in base64 and the words around it.
MAX_RESULT_BYTES = 720 * 1024

CommandId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Asker = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
Kind = Literal["logs", "snapshot", "golden", "restart", "benchmark"]
# How a command stands for the device that took it; `running` is told at once, and followed by one of the others.
State = Literal["running", "ok", "refused", "failed"]
Celsius = Annotated[float, Field(allow_inf_nan=False)]


class LogsOrder(Grown, frozen=True, extra="forbid"):
    """The agent's newest log lines."""

    kind: Literal["logs"] = "logs"
    lines: Annotated[int, Field(ge=1, le=MAX_LOG_LINES)] = 200


class ModelOrder(Grown, frozen=True, extra="forbid"):
    """What concerns one model; None is the only one that the device runs."""

    model: ModelName | None = None


class SnapshotOrder(ModelOrder):
    """One picture of what the model sees; a device gives it only where its own configuration allows it."""

    kind: Literal["snapshot"] = "snapshot"


class GoldenOrder(ModelOrder):
    """The golden set once more, in a fresh process beside the one that serves."""

    kind: Literal["golden"] = "golden"


class RestartOrder(ModelOrder):
    """A fresh worker in the place of the one that serves."""

    kind: Literal["restart"] = "restart"


class BenchmarkOrder(ModelOrder):
    """How long an inference takes, in a fresh process beside the one that serves."""

    kind: Literal["benchmark"] = "benchmark"
    runs: Annotated[int, Field(ge=1, le=MAX_RUNS)] = 100
    threads: Annotated[int, Field(ge=1, le=64)] = 1


Order = Annotated[LogsOrder | SnapshotOrder | GoldenOrder | RestartOrder | BenchmarkOrder, Field(discriminator="kind")]
ORDER: TypeAdapter[Order] = TypeAdapter(Order)


class Command(Grown, frozen=True, extra="forbid"):
    """On `command/<id>`, signed by the director's key: what one device shall do once, before it expires."""

    id: CommandId
    device: DeviceId
    # Who asked, by the name of his token: the device notes it down.
    asker: Asker
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    order: Order

    @model_validator(mode="after")
    def _lives_shortly(self) -> Command:
        if not timedelta(0) < self.expires_at - self.issued_at <= MAX_LIFE:
            raise ValueError(f"an expiry within {MAX_LIFE} after the issue")
        return self


class Found(Grown, frozen=True, extra="ignore"):
    """What a command brought."""


class Logs(Found):
    """Lines of the agent, oldest first."""

    kind: Literal["logs"] = "logs"
    source: Literal["journal", "file", "memory"]
    text: Annotated[str, Field(max_length=MAX_LOG_BYTES)]


class Picture(Found):
    """One frame."""

    kind: Literal["snapshot"] = "snapshot"
    model: ModelName
    # A JPEG file in base64.
    jpeg: Annotated[str, Field(max_length=4 * (MAX_JPEG_BYTES // 3 + 1), pattern=r"^[A-Za-z0-9+/]+={0,2}$")]


class Runner(Found):
    """Which release was run, and by what."""

    release: ReleaseRef
    target: TargetName
    runtime: Text
    # What really ran it.
    provider: Text


class Golden(Runner):
    """How the golden set went."""

    kind: Literal["golden"] = "golden"
    passed: bool
    samples: Counter
    # Largest absolute difference that was found, and the one allowed.
    error: Amount
    tolerance: Amount
    reason: Text = ""


class Restarted(Runner):
    """A fresh worker serves."""

    kind: Literal["restart"] = "restart"
    # Whether the one before served until then.
    was_without_gap: bool


class Benchmark(Runner):
    """Milliseconds of one inference with its preprocessing, of one sample at a time."""

    kind: Literal["benchmark"] = "benchmark"
    precision: Text
    threads: Annotated[int, Field(ge=1)]
    runs: Annotated[int, Field(ge=1)]
    mean_ms: Amount
    p50_ms: Amount
    p95_ms: Amount
    # None where the device cannot tell.
    temperature_before_c: Celsius | None = None
    temperature_after_c: Celsius | None = None
    was_throttled: bool | None = None


Findings = Annotated[Logs | Picture | Golden | Restarted | Benchmark, Field(discriminator="kind")]


class CommandResult(Message, Grown, frozen=True, extra="ignore"):
    """On `command/<id>/result`: how the command stands; what was found once it is `ok`, else the reason."""

    command: CommandId
    state: State
    reason: Text = ""
    findings: Findings | None = None


class Cost(BaseModel, frozen=True, extra="ignore"):
    """One line of the cost table: what a release's artifact took on one device."""

    device: DeviceId
    hardware: TargetName
    measured_at: AwareDatetime
    benchmark: Benchmark


class CostTable(BaseModel, frozen=True, extra="ignore"):
    """What benchmarks found, newest first: the measured price of each artifact on each hardware."""

    version: Literal[1] = 1
    costs: tuple[Cost, ...]
