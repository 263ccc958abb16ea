"""What is asked of rollouts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from contracts.names import ModelName, ReleaseCounter

SizeText = Annotated[str, Field(pattern=r"^([0-9]{1,7}|[0-9]{1,3}(\.[0-9]{1,4})?%)$")]
GateName = Literal["errors", "p95", "restarts", "temperature", "drift", "agreement", "confidence"]
DEFAULT_DEADLINE_S = 1800.0
DEFAULT_PATIENCE_S = 3600.0


class NewRollout(BaseModel, frozen=True, extra="forbid"):
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
