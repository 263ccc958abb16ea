"""Decides what became of one device: from what it says it runs, and from how long it has said nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from contracts.lifecycle import IN_PROGRESS, Phase
from contracts.messages import ModelReport, ReleaseRef
from fleet.core.rollout.model import LOST, UNDER_WAY, Errand, Member, Standing
from fleet.core.rollout.plan import Plan


def heard(member: Member, standing: Standing, now: datetime) -> Member:
    """Take in what a device said last; a repeated or late word changes nothing."""
    if member.phase is Phase.COMMITTED:
        return _relapsed(member, standing, now)
    if member.phase not in UNDER_WAY:
        return member
    is_met = standing.is_online or standing.generation >= member.generation > 0
    if member.met_at is None and is_met:
        member = replace(member, met_at=now, is_missing=False)
    return _inferred(member, standing, now)


def waited(member: Member, plan: Plan, now: datetime) -> Member:
    """Let time pass: a device that was met is lost at its deadline; one that was not is no longer waited for."""
    if member.phase not in UNDER_WAY or member.offered_at is None:
        return member
    if member.met_at is None:
        is_missing = now - member.offered_at > timedelta(seconds=plan.contact_s)
        return replace(member, is_missing=True, reason="waits for contact") if is_missing and not member.is_missing else member
    if member.is_shadow and member.phase is Phase.SHADOW:
        return member  # it waits for the gate, which is the fleet's own affair
    if now - member.met_at <= timedelta(seconds=plan.deadline_s):
        return member
    return ended(member, Phase.FAILED, f"no outcome within {plan.deadline_s:g} s; it was {member.phase.value}", now)


def ended(member: Member, phase: Phase, reason: str, now: datetime) -> Member:
    """Give a member its outcome; who was lost is wished what it ran before, at once."""
    is_lost = phase in LOST
    errand = Errand.RETURN if is_lost else member.errand
    progress = 1.0 if phase is Phase.COMMITTED else member.progress
    return replace(member, phase=phase, reason=reason, progress=progress, errand=errand, outcome_at=now, is_missing=False)


def _inferred(member: Member, standing: Standing, now: datetime) -> Member:
    """Infer the phase from what the device says it runs, never from a message that may have been lost."""
    report = standing.model
    if member.target is not None and report is not None and report.phase is Phase.COMMITTED and is_same(report.current, member.target):
        return ended(member, Phase.COMMITTED, "", now)
    if member.errand in (Errand.OFFER, Errand.SHADOW) or standing.generation < member.generation:
        return member  # it speaks of an older wish
    if member.target is None and (report is None or report.current is None):
        return ended(member, Phase.COMMITTED, "", now)
    return member if report is None else _progressed(member, report, now)


def _progressed(member: Member, report: ModelReport, now: datetime) -> Member:
    if report.phase in IN_PROGRESS and (report.candidate is None or is_same(report.candidate, member.target)):
        if (member.phase, member.reason, member.progress) == (report.phase, report.reason, report.progress):
            return member
        return replace(member, phase=report.phase, reason=report.reason, progress=report.progress)
    last = report.last
    if last is None or last.at == member.earlier_outcome_at or not is_same(last.release, member.target):
        return member
    if last.result in LOST | {Phase.CANCELLED}:
        return ended(member, Phase.FAILED if last.result is Phase.CANCELLED else last.result, last.reason, now)
    return member


def _relapsed(member: Member, standing: Standing, now: datetime) -> Member:
    """A committed release that brings its worker down again and again is left by the device itself."""
    report = standing.model
    if report is None or report.last is None or report.last.result is not Phase.ROLLED_BACK or is_same(report.current, member.target):
        return member
    if report.last.at == member.earlier_outcome_at or not is_same(report.last.release, member.target):
        return member
    return ended(member, Phase.ROLLED_BACK, report.last.reason, now)


def is_same(found: ReleaseRef | None, release: ReleaseRef | None) -> bool:
    """Compare releases by their content."""
    return found is not None and release is not None and found.manifest_sha256 == release.manifest_sha256
