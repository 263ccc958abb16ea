"""Takes what people order of rollouts: starts them, and changes those under way while the conductor follows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.rollout import enlist
from fleet.core.rollout.acts import ACTS, Order, without
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Kind, Member, Rollout, State
from fleet.core.rollout.plan import EVERYBODY, Plan, Strategy
from fleet.core.targeting.parse import parse_query
from fleet.errors.devices import NoDevicesError
from fleet.errors.rollouts import RolloutStateError
from fleet.errors.targeting import StaleVersionError
from fleet.plans import plan_of
from fleet.recruiter import Release
from fleet.requests.rollouts import NewRollout


class Rollouts(Protocol):
    """Where rollouts are kept."""

    def add(self, rollout: Rollout, entry: Entry) -> int:
        """Keep a new rollout, return its number; raise RolloutRunningError."""

    def change(self, number: int, change: Callable[[Rollout], Rollout], entry: Entry) -> None:
        """Change a rollout while nobody else can; raise UnknownRolloutError, and whatever `change` raises."""

    def get(self, number: int) -> Rollout:
        """Return one rollout; raise UnknownRolloutError."""

    def open_with(self, device: str) -> Sequence[int]:
        """Return the rollouts under way that a device is in."""


class Recruiter(Protocol):
    """Who finds a rollout's devices."""

    def release(self, model: str, release: int | None) -> Release:
        """Return one release of a model, or its newest; raise UnknownReleaseError."""

    def matching(self, query: str, release: Release, plan: Plan, now: datetime) -> list[Member]:
        """Return all devices that a query means, those that cannot run the release as cancelled; raise QueryError."""

    def named(self, wanted: Mapping[str, ReleaseRef | None], model: str, plan: Plan, now: datetime) -> list[Member]:
        """Return devices by name, each with the release it shall have; those that left the fleet are left out."""


class RolloutDesk:
    """The orders of operators; each leaves a line in the rollout's history."""

    def __init__(self, rollouts: Rollouts, recruiter: Recruiter) -> None:
        """Orders are kept in `rollouts`; the conductor carries them out."""
        self._rollouts = rollouts
        self._recruiter = recruiter

    def start(self, new: NewRollout, actor: str, now: datetime) -> int:
        """Freeze the target list and return the rollout's number; raise the error that says why not."""
        query = str(parse_query(new.query))
        plan = plan_of(new)
        release = self._recruiter.release(new.model, new.release)
        rival = None if new.rival is None else self._recruiter.release(new.model, new.rival).ref
        members = self._recruiter.matching(query, release, plan, now)
        if not any(member.phase is Phase.PLANNED for member in members):
            raise NoDevicesError(new.query, members[0].reason if members else "the query matches no device")
        ref = release.ref
        arranged = enlist.arranged(members, plan, ref.manifest_sha256, rival)
        state = State.WAITING if plan.needs_approval else State.RUNNING
        return self._add(Rollout(0, ref, query, plan, actor, now, arranged, state))

    def act(self, number: int, act: str, actor: str, now: datetime, seen: str | None = None) -> None:
        """Approve, pause, resume, promote or abort a rollout; raise RolloutStateError, ApprovalError or StaleVersionError."""

        def change(rollout: Rollout) -> Rollout:
            if seen not in (None, rollout.version):
                raise StaleVersionError(f"rollout {number}", str(seen), rollout.version)
            return ACTS[act](rollout, Order(actor, now))

        self._rollouts.change(number, change, Entry(now, actor, act, ""))

    def let_go(self, device: str, actor: str, now: datetime) -> None:
        """Go on without a device that was removed from the fleet."""
        for number in self._rollouts.open_with(device):
            entry = Entry(now, actor, "remove", f"device {device} was removed from the fleet")
            self._rollouts.change(number, lambda rollout: without(rollout, device, Order(actor, now)), entry)

    def rollback(self, number: int, actor: str, now: datetime) -> int:
        """Bring each device of a rollout that has ended back to what it ran before; return the new rollout's number."""
        return self._follow(number, Kind.ROLLBACK, enlist.committed, actor, now)

    def retry(self, number: int, actor: str, now: datetime) -> int:
        """Offer the release again to those that a rollout lost; return the new rollout's number."""
        return self._follow(number, Kind.RETRY, enlist.lost, actor, now)

    def _follow(self, number: int, kind: Kind, whom: Callable[[Rollout], dict[str, ReleaseRef | None]], actor: str, now: datetime) -> int:
        origin = self._rollouts.get(number)
        if origin.ended_at is None:
            raise RolloutStateError(number, f"one that has ended, for a {kind.value}", origin.state.value)
        # What waves were to find out is known by now.
        plan = replace(
            origin.plan,
            strategy=Strategy.ALL_AT_ONCE,
            waves=(EVERYBODY,),
            gate=None,
            threshold=None,
            soak_s=0.0,
            takes_newcomers=False,
            shadow=None,
            min_inputs=0,
        )
        if kind is Kind.ROLLBACK:
            plan = replace(plan, hours=None, needs_approval=False)  # the way back is always open
        members = self._recruiter.named(whom(origin), origin.release.model, plan, now)
        if not members:
            raise RolloutStateError(number, f"devices for a {kind.value}", "none")
        seed = origin.release.manifest_sha256
        state = State.WAITING if plan.needs_approval else State.RUNNING
        query = f"{kind.value} of rollout {number}"
        arranged = enlist.arranged(members, plan, seed)
        return self._add(Rollout(0, origin.release, query, plan, actor, now, arranged, state, kind=kind, origin=number))

    def _add(self, rollout: Rollout) -> int:
        entry = Entry(rollout.started_at, rollout.started_by, rollout.kind.value, f"{rollout.plan.strategy.value} to {rollout.query}")
        return self._rollouts.add(rollout, entry)
