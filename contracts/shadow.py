"""What fleet and device agree on of a release in shadow: on which terms it runs beside the live one, and what it is told of by."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from contracts.grown import Grown
from contracts.names import Sha256
from contracts.sketches import Sketch, merged

MAX_LIFE_S = 30 * 86400.0
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class ShadowTerms(Grown, frozen=True, extra="ignore"):
    """How much of the live inputs a candidate sees, and what it may cost the device."""

    # Of the live inputs.
    share: Annotated[float, Field(gt=0, le=1)]
    # Of one core; above it the candidate pauses.
    max_cpu_share: Annotated[float, Field(gt=0, le=64)] = 0.5
    # Above it the candidate pauses; None: no bound but the device's own.
    max_temperature_c: Annotated[float, Field(ge=-50, le=150)] | None = None
    # A fleet that has said nothing by then has forgotten it. Of a clock that never jumps, and summed up over restarts.
    life_s: Annotated[float, Field(gt=0, le=MAX_LIFE_S)] = MAX_LIFE_S


class ShadowPart(BaseModel, frozen=True, extra="ignore"):
    """What a candidate did in shadow since the window before; all of it adds up."""

    # Of the candidate; the window it comes with is the live release's.
    manifest_sha256: Sha256
    # Live inputs that it answered as well, and on how many of them it led to the same decision.
    compared: Count
    agreed: Count
    # Inputs on which it failed.
    errors: Count
    # Sampled inputs that it had no time for.
    dropped: Count = 0
    # Seconds in which it kept to its budget of heat or CPU.
    paused_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    # Inputs with a winning score on either side; the sum of candidate's less live score, and of its squares.
    scored: Count = 0
    shift: Finite = 0.0
    shift_squares: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    # Milliseconds that the models themselves took for the same inputs.
    latencies: Sketch
    live_latencies: Sketch


def joined_part(older: ShadowPart | None, newer: ShadowPart | None) -> ShadowPart | None:
    """Return what both say together; of two candidates the newer one's alone, for the older one is over."""
    if older is None or newer is None or older.manifest_sha256 != newer.manifest_sha256:
        return newer or older
    return ShadowPart(
        manifest_sha256=newer.manifest_sha256,
        compared=older.compared + newer.compared,
        agreed=older.agreed + newer.agreed,
        errors=older.errors + newer.errors,
        dropped=older.dropped + newer.dropped,
        paused_s=older.paused_s + newer.paused_s,
        scored=older.scored + newer.scored,
        shift=older.shift + newer.shift,
        shift_squares=older.shift_squares + newer.shift_squares,
        latencies=merged((older.latencies, newer.latencies)),
        live_latencies=merged((older.live_latencies, newer.live_latencies)),
    )
