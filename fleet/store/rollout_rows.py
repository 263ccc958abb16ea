"""How a rollout lies in its rows: plan and verdict as JSON text, releases as JSON text that most devices share."""

from __future__ import annotations

from functools import lru_cache

from pydantic import TypeAdapter
from sqlalchemy import Row

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.gates.verdict import GateVerdict
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Errand, Kind, Member, Rollout, State
from fleet.core.rollout.plan import Plan
from fleet.store.rows import ref_from_text, ref_to_text
from fleet.zones import name_of, zone_of

PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)
VERDICT: TypeAdapter[GateVerdict] = TypeAdapter(GateVerdict)
# A fleet runs few releases; each is read and written once.
_ref_of = lru_cache(maxsize=1024)(ref_from_text)
_text_of = lru_cache(maxsize=1024)(ref_to_text)
_zone_of = lru_cache(maxsize=1024)(zone_of)
_PHASES = {phase.value: phase for phase in Phase}
_ERRANDS = {errand.value: errand for errand in Errand}


def rollout_of(row: Row[tuple[object, ...]], members: list[Member]) -> Rollout:
    """Read a rollout."""
    return Rollout(
        id=row.id,
        release=ReleaseRef.model_validate_json(row.release),
        query=row.query,
        plan=PLAN.validate_json(row.plan),
        started_by=row.started_by,
        started_at=row.started_at,
        members={member.device: member for member in members},
        state=State(row.state),
        state_reason=row.state_reason,
        kind=Kind(row.kind),
        origin=row.origin,
        wave=row.wave,
        proven=row.proven,
        settled_at=row.settled_at,
        verdict=None if row.verdict is None else VERDICT.validate_json(row.verdict),
        ended_at=row.ended_at,
        revision=row.revision,
    )


def lasting_columns(rollout: Rollout) -> dict[str, object]:
    """Write what never changes."""
    return {
        "model": rollout.release.model,
        "release": ref_to_text(rollout.release),
        "query": rollout.query,
        "plan": PLAN.dump_json(rollout.plan).decode(),
        "kind": rollout.kind.value,
        "origin": rollout.origin,
        "started_by": rollout.started_by,
        "started_at": rollout.started_at,
    }


def state_columns(rollout: Rollout) -> dict[str, object]:
    """Write what changes."""
    return {
        "state": rollout.state.value,
        "state_reason": rollout.state_reason,
        "wave": rollout.wave,
        "proven": rollout.proven,
        "settled_at": rollout.settled_at,
        "verdict": None if rollout.verdict is None else VERDICT.dump_json(rollout.verdict).decode(),
        "ended_at": rollout.ended_at,
    }


def member_of(row: Row[tuple[object, ...]]) -> Member:
    """Read a device of a rollout; a zone that the system no longer knows is UTC."""
    return Member(
        device=row.device,
        phase=_PHASES[row.phase],
        baseline=_ref_of(row.baseline),
        target=_ref_of(row.target),
        wave=row.wave,
        zone=_zone_of(row.zone) or Member.zone,
        reason=row.reason,
        progress=row.progress,
        errand=_ERRANDS[row.errand],
        generation=row.generation,
        offered_at=row.offered_at,
        met_at=row.met_at,
        outcome_at=row.outcome_at,
        is_missing=row.is_missing,
        is_shadow=row.is_shadow,
        earlier_outcome_at=row.earlier_outcome_at,
    )


def placed_columns(member: Member) -> dict[str, object]:
    """Write what a device is in a rollout from its start."""
    return {
        "wave": member.wave,
        "zone": name_of(member.zone),
        "baseline": _text_of(member.baseline),
        "target": _text_of(member.target),
        "earlier_outcome_at": member.earlier_outcome_at,
    }


def moving_columns(member: Member) -> dict[str, object]:
    """Write what changes of a device."""
    return {
        "phase": member.phase.value,
        "reason": member.reason,
        "progress": member.progress,
        "errand": member.errand.value,
        "generation": member.generation,
        "offered_at": member.offered_at,
        "met_at": member.met_at,
        "outcome_at": member.outcome_at,
        "is_missing": member.is_missing,
        "is_shadow": member.is_shadow,
    }


def entry_of(row: Row[tuple[object, ...]]) -> Entry:
    """Read a line of a rollout's history."""
    return Entry(row.at, row.actor, row.act, row.text)
