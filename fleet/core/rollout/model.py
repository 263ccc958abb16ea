"""What a rollout is: its devices, where each stands, and what the fleet still has to tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone, tzinfo
from enum import Enum

from contracts.lifecycle import FINAL, IN_PROGRESS, Phase
from contracts.messages import ModelReport, ReleaseRef
from fleet.core.gates.verdict import GateVerdict
from fleet.core.rollout.plan import Plan

LOST = frozenset({Phase.FAILED, Phase.REJECTED, Phase.ROLLED_BACK})
# The fleet waits for something to come of it.
UNDER_WAY = IN_PROGRESS | {Phase.OFFERED}


class State(str, Enum):
    """Where a rollout stands; one that was stopped or aborted is still followed until its last device has an outcome."""

    WAITING = "waiting"  # for the approval of a second person
    RUNNING = "running"
    PAUSED = "paused"  # nobody else is offered anything; who was, goes on
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"


class Kind(str, Enum):
    """Why there is a rollout."""

    START = "start"
    ROLLBACK = "rollback"  # brings each device of another rollout back to what it ran before
    RETRY = "retry"  # offers again to those that another rollout lost


class Errand(str, Enum):
    """What the director is still to be told about a device; it is kept before it is run, and may run twice."""

    NONE = "none"
    OFFER = "offer"  # wish the target
    SHADOW = "shadow"  # wish the target beside what serves
    RETURN = "return"  # wish the baseline


@dataclass(frozen=True)
class Member:
    """One device of a rollout, frozen at its start."""

    device: str
    phase: Phase
    # What it was to run when the rollout began, to which the fleet returns it; None: nothing of this model.
    baseline: ReleaseRef | None
    # What it is to run; None: nothing of this model.
    target: ReleaseRef | None
    # The first wave that reaches it, from 0.
    wave: int = 0
    zone: tzinfo = timezone.utc
    reason: str = ""
    progress: float = 0.0
    errand: Errand = Errand.NONE
    # The desired document that carries the offer, once the director was told.
    generation: int = 0
    offered_at: datetime | None = None
    # First sign of life since the offer: from then on the device, and no longer the fleet, is waited for.
    met_at: datetime | None = None
    outcome_at: datetime | None = None
    # It was not met for so long that nobody waits for it any more; its wish stands until the rollout is stopped.
    is_missing: bool = False
    # When its newest attempt before this rollout ended: until it tries again, it goes on telling of that one.
    earlier_outcome_at: datetime | None = None
    # It was asked to run its target in shadow, and not yet to serve it.
    is_shadow: bool = False

    @property
    def is_settled(self) -> bool:
        """Say whether nothing is waited for."""
        return self.phase in FINAL or self.is_missing


@dataclass(frozen=True)
class Rollout:
    """One change on its way to a fixed list of devices."""

    id: int
    # What it brings, or takes back.
    release: ReleaseRef
    query: str
    plan: Plan
    started_by: str
    started_at: datetime
    # By id, in the order in which they are offered the release.
    members: Mapping[str, Member]
    state: State = State.RUNNING
    state_reason: str = ""
    kind: Kind = Kind.START
    # The rollout that a rollback or a retry follows.
    origin: int | None = None
    # The newest wave that was opened.
    wave: int = 0
    # Since when the open wave has been settled; None while it is not.
    settled_at: datetime | None = None
    # What the gate said last of the open wave; None before its first word.
    verdict: GateVerdict | None = None
    ended_at: datetime | None = None
    # Grows with every change that is kept, so that nobody writes over what he has not read.
    revision: int = 0
    # How many waves have passed their shadow, or need not; only of a rollout with shadows.
    proven: int = 0

    @property
    def last_wave(self) -> int:
        """Return the number of the last wave."""
        return len(self.plan.waves) - 1

    @property
    def version(self) -> str:
        """Return by what an order that was given for another state of things is told."""
        return f"{self.state.value}-{self.wave + 1}"

    def having(self, changed: Iterable[Member]) -> Rollout:
        """Return the rollout with other states of some members."""
        news = {member.device: member for member in changed}
        return replace(self, members={**self.members, **news}) if news else self

    def errands(self) -> list[Member]:
        """Return the members of whom the director is to be told."""
        return [member for member in self.members.values() if member.errand is not Errand.NONE]

    def lost(self) -> Counter[Phase]:
        """Return how many devices came to which bad end."""
        return Counter(member.phase for member in self.members.values() if member.phase in LOST)


@dataclass(frozen=True)
class Standing:
    """What a device said last: the newest generation it verified, how the rollout's model does on it, whether it has a link."""

    generation: int
    model: ModelReport | None
    is_online: bool = True


def told(rollout: Rollout, generations: Mapping[str, int]) -> Rollout:
    """Note which desired document carries each device's errand."""
    return rollout.having(
        replace(
            member,
            errand=Errand.NONE,
            generation=member.generation if member.errand is Errand.RETURN else generations[member.device],
        )
        for member in map(rollout.members.__getitem__, generations)
    )
