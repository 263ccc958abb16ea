"""Decides who is in a rollout: the devices it means, what each ran before, and the wave that reaches it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.inventory import Inventory
from fleet.core.rollout.follow import is_same
from fleet.core.rollout.model import LOST, Member, Rollout
from fleet.core.rollout.plan import Plan, Strategy, order, waves_of

# Labels hold no slash: Europe.Paris is the zone Europe/Paris.
ZONE_LABEL = "tz"
Zones = Callable[[str], "tzinfo | None"]


# What the fleet wants devices to run of a model, None for nothing; who is missing was never told.
Wanted = Mapping[str, "ReleaseRef | None"]


def recruit(device: Inventory, target: ReleaseRef | None, model: str, zone: tzinfo, wanted: Wanted) -> Member:
    """Return a device as a member that has yet to be offered its target."""
    return Member(
        device=device.id,
        phase=Phase.PLANNED,
        baseline=_baseline_of(device, model, wanted),
        target=target,
        zone=zone,
        earlier_outcome_at=device.ended_at.get(model),
    )


def _baseline_of(device: Inventory, model: str, wanted: Wanted) -> ReleaseRef | None:
    """Return what is wanted of a device, which may still be on its way there; what it runs, where it never arrives."""
    report = device.models.get(model)
    running = report.current if report else None
    if device.id not in wanted:
        return running
    wish = wanted[device.id]
    last = report.last if report else None
    is_lost = last is not None and last.result in LOST and is_same(last.release, wish)
    return running if is_lost else wish


def local_zone(device: Inventory, zones: Zones, default: tzinfo) -> tzinfo:
    """Return the time zone that the operator or the agent gave a device, or else the plan's."""
    name = device.labels.get(ZONE_LABEL) or device.own_labels.get(ZONE_LABEL)
    return (zones(name.replace(".", "/")) if name else None) or default


def arranged(members: Iterable[Member], plan: Plan, seed: str, rival: ReleaseRef | None = None) -> dict[str, Member]:
    """Put members in order and in waves; a split gives every other one the rival."""
    by_id = {member.device: member for member in members}
    lined_up = [by_id[device] for device in order(seed, by_id)]
    planned = [member for member in lined_up if member.phase is Phase.PLANNED]
    waves = waves_of(plan.waves, len(planned))
    placed = {
        member.device: replace(member, wave=wave, target=rival if plan.strategy is Strategy.SPLIT and position % 2 else member.target)
        for position, (member, wave) in enumerate(zip(planned, waves, strict=True))
    }
    return {member.device: placed.get(member.device, member) for member in lined_up}


def joined(rollout: Rollout, newcomers: Sequence[Member]) -> Rollout:
    """Let devices that were added meanwhile join the last wave, where no gate is left to pass but those of all."""
    fresh = [member for member in newcomers if member.device not in rollout.members]
    last = {member.device: replace(member, wave=rollout.last_wave) for member in fresh}
    return replace(rollout, members={**rollout.members, **last}) if last else rollout


def committed(rollout: Rollout) -> dict[str, ReleaseRef | None]:
    """Return what a rollback brings each device back to."""
    return {member.device: member.baseline for member in rollout.members.values() if member.phase is Phase.COMMITTED}


def lost(rollout: Rollout) -> dict[str, ReleaseRef | None]:
    """Return what a retry offers to those that were lost."""
    return {member.device: member.target for member in rollout.members.values() if member.phase in LOST}
