"""The life of one release on one device, as data: the phases, which party may take each step, and how long each may wait."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from contracts.errors import ForbiddenEdgeError
from contracts.shadow import MAX_LIFE_S


class Party(str, Enum):
    """Who takes a step; nobody else may."""

    FLEET = "fleet"
    AGENT = "agent"


class Phase(str, Enum):
    """Where a release stands on a device."""

    PLANNED = "planned"  # the rollout names the device; nothing was sent
    OFFERED = "offered"  # a signed desired document names the release
    FETCHING = "fetching"  # bytes arrive
    STAGING = "staging"  # unpacked beside the running release; engines are built here
    TESTING = "testing"  # the new worker runs the golden set on this accelerator
    SHADOW = "shadow"  # it answers a share of the live inputs beside the release that serves, for comparison only
    SWITCHING = "switching"  # the new worker takes over the listening socket
    PROBATION = "probation"  # it serves, and the previous one is kept ready
    COMMITTED = "committed"
    REJECTED = "rejected"  # not for this device, or not to be trusted: nothing was tried
    FAILED = "failed"  # it could not be carried out: link, disk, time; tried again while the fleet wishes it
    ROLLED_BACK = "rolled_back"  # it was tried and found wanting; the previous release serves
    CANCELLED = "cancelled"  # the fleet withdrew it


FINAL = frozenset({Phase.COMMITTED, Phase.REJECTED, Phase.FAILED, Phase.ROLLED_BACK, Phase.CANCELLED})
IN_PROGRESS = frozenset({Phase.FETCHING, Phase.STAGING, Phase.TESTING, Phase.SHADOW, Phase.SWITCHING, Phase.PROBATION})

EDGES: dict[tuple[Phase, Phase], Party] = {
    (Phase.PLANNED, Phase.OFFERED): Party.FLEET,
    (Phase.PLANNED, Phase.CANCELLED): Party.FLEET,
    (Phase.OFFERED, Phase.CANCELLED): Party.FLEET,
    (Phase.OFFERED, Phase.REJECTED): Party.AGENT,
    (Phase.OFFERED, Phase.FETCHING): Party.AGENT,
    # The fleet gives a device up when its deadline has passed without a word.
    (Phase.OFFERED, Phase.FAILED): Party.FLEET,
    (Phase.FETCHING, Phase.STAGING): Party.AGENT,
    (Phase.FETCHING, Phase.REJECTED): Party.AGENT,
    (Phase.FETCHING, Phase.FAILED): Party.AGENT,
    (Phase.FETCHING, Phase.CANCELLED): Party.AGENT,
    (Phase.STAGING, Phase.TESTING): Party.AGENT,
    (Phase.STAGING, Phase.FAILED): Party.AGENT,
    (Phase.STAGING, Phase.CANCELLED): Party.AGENT,
    (Phase.TESTING, Phase.SWITCHING): Party.AGENT,
    (Phase.TESTING, Phase.ROLLED_BACK): Party.AGENT,
    (Phase.TESTING, Phase.CANCELLED): Party.AGENT,
    # Only where the wish asks for it; the fleet's next wish leads out of it, forwards or back.
    (Phase.TESTING, Phase.SHADOW): Party.AGENT,
    (Phase.SHADOW, Phase.SWITCHING): Party.AGENT,
    (Phase.SHADOW, Phase.ROLLED_BACK): Party.AGENT,
    (Phase.SHADOW, Phase.CANCELLED): Party.AGENT,
    (Phase.SWITCHING, Phase.PROBATION): Party.AGENT,
    (Phase.SWITCHING, Phase.ROLLED_BACK): Party.AGENT,
    (Phase.PROBATION, Phase.COMMITTED): Party.AGENT,
    (Phase.PROBATION, Phase.ROLLED_BACK): Party.AGENT,
    # A committed release is on trial until it has served steadily; one that brings worker or agent down again and again is left.
    (Phase.COMMITTED, Phase.ROLLED_BACK): Party.AGENT,
}


@dataclass(frozen=True)
class Deadline:
    """How long a release may stay in a phase, and what becomes of it then.

    Durations are of a clock that never jumps. What was waited outlives a restart of the agent: while fetching as a sum, in later
    phases as a number of attempts.
    """

    after_s: float
    outcome: Phase
    # Every sign of progress starts it anew.
    is_renewed: bool = False


# What waits on the device ends there by itself. What waits for the device (planned, offered) ends by the rollout's own deadline.
DEADLINES: dict[Phase, Deadline] = {
    # A device may be without a link for days, too hot or too full.
    Phase.FETCHING: Deadline(7 * 86400.0, Phase.FAILED, is_renewed=True),
    # Building an accelerator's engine takes tens of minutes, and often says nothing for long.
    Phase.STAGING: Deadline(2 * 3600.0, Phase.FAILED, is_renewed=True),
    Phase.TESTING: Deadline(3600.0, Phase.ROLLED_BACK),
    # The wish says how long, up to this.
    Phase.SHADOW: Deadline(MAX_LIFE_S, Phase.CANCELLED),
    Phase.SWITCHING: Deadline(120.0, Phase.ROLLED_BACK),
    # Counted from the end of the configured probation on: by then the worker must be alive.
    Phase.PROBATION: Deadline(900.0, Phase.ROLLED_BACK),
}


def check_step(source: Phase, target: Phase, party: Party) -> None:
    """Raise ForbiddenEdgeError unless `party` may move a release from `source` to `target`."""
    if EDGES.get((source, target)) is not party:
        raise ForbiddenEdgeError(source.value, target.value, party.value)
