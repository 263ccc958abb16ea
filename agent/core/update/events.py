"""What one model's update machine hears, and what it asks its driver to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from contracts.shadow import ShadowTerms


class Do(Enum):
    """What the machine asks its driver to do; each may be asked twice."""

    # Have the committed release serve; a driver that finds it damaged says so.
    SERVE = "serve"
    FETCH = "fetch"
    STAGE = "stage"
    START_CANDIDATE = "start_candidate"
    # Have the candidate answer a share of the live inputs, until something else is asked.
    START_SHADOW = "start_shadow"
    SWITCH = "switch"
    START_PROBATION = "start_probation"
    # The effect's release is over: clear away what nobody needs any more.
    COMMIT = "commit"
    DISCARD = "discard"
    # As DISCARD, once the committed release serves again.
    ROLL_BACK = "roll_back"


@dataclass(frozen=True)
class Effect:
    """One deed, and the release it is about."""

    do: Do
    release: ReleaseRef


@dataclass(frozen=True)
class Wished:
    """A verified desired document of this generation names this release for the model, or none."""

    release: ReleaseRef | None
    manifest_bytes: int = 0
    generation: int = 0
    # It shall not serve, but run beside what does, on these terms.
    shadow: ShadowTerms | None = None


@dataclass(frozen=True)
class Done:
    """The work of a phase succeeded."""

    release: ReleaseRef
    phase: Phase


@dataclass(frozen=True)
class Failed:
    """The work of a phase failed."""

    release: ReleaseRef
    phase: Phase
    reason: str


@dataclass(frozen=True)
class Unsuitable:
    """The release's manifest arrived and shows that it is not for this device."""

    release: ReleaseRef
    reason: str


@dataclass(frozen=True)
class Crashed:
    """The serving worker of a release ended by itself or hung."""

    release: ReleaseRef
    reason: str


@dataclass(frozen=True)
class Disproved:
    """A worker of the committed release, while none serves, cannot be proved on this device as it is now."""

    release: ReleaseRef
    reason: str


@dataclass(frozen=True)
class Steady:
    """A committed release has served for long without a crash: from now on it is the last known good."""

    release: ReleaseRef


@dataclass(frozen=True)
class Damaged:
    """A committed release's bytes on disk are no longer those of its digest; `heir` still is intact, if there is one."""

    release: ReleaseRef
    heir: ReleaseRef | None


@dataclass(frozen=True)
class Progressed:
    """The work of a phase goes on: bytes came, or an engine grew."""

    release: ReleaseRef
    phase: Phase


@dataclass(frozen=True)
class Waited:
    """So much time of a clock that never jumps went by in the present phase; in probation it counts from the configured end on."""

    seconds: float


Event = Wished | Done | Failed | Unsuitable | Crashed | Disproved | Steady | Damaged | Progressed | Waited
