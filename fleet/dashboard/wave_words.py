"""Decides how a rollout's waves, its strategy and its plan read to people."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.dashboard.words import devices, duration
from fleet.views.rollouts import PlanView, RolloutView, WaveView

STRATEGIES = {
    "all-at-once": "to all at once",
    "phased": "in waves, while few are lost",
    "canary": "in waves, each compared with devices that do not have it yet",
    "shadow": "beside the live release first, which goes on answering; then in waves",
    "split": "two releases on one half each, compared for as long as asked",
}
STATES = {
    "waiting": "It waits for the approval of a second person.",
    "running": "It is under way.",
    "paused": "Nobody else is offered it until it is resumed.",
    "succeeded": "It has ended well.",
    "failed": "It was stopped.",
    "aborted": "It was aborted.",
}
UNBOUNDED = "It went to its end, and some devices do not have it."


@dataclass(frozen=True)
class WaveBar:
    """One wave: its parts with the name of their colour, which add up to its devices."""

    title: str
    word: str
    parts: tuple[tuple[str, int, str], ...]
    text: str


def bar_of(wave: WaveView, view: RolloutView) -> WaveBar:
    """Lay out one wave."""
    settled_otherwise = max(0, wave.settled - wave.committed - wave.lost - wave.missing)
    on_their_way = max(0, wave.offered - wave.committed - wave.lost - wave.missing - wave.awaited - wave.in_shadow - settled_otherwise)
    parts = [
        ("committed", wave.committed, "committed"),
        ("failed", wave.lost, "failed"),
        ("shadow", wave.in_shadow, "in shadow"),
        ("probation", on_their_way, "on the way"),
        ("offered", wave.awaited, "waiting for contact"),
        ("missing", wave.missing, "given up waiting for"),
        ("cancelled", settled_otherwise, "left out or withdrawn"),
    ]
    parts.append(("planned", max(0, wave.devices - sum(count for _, count, _ in parts)), "not offered yet"))
    told = tuple(part for part in parts if part[1])
    text = ", ".join(f"{count} {word}" for _, count, word in told) or "nobody is in it"
    return WaveBar(f"Wave {wave.wave} · up to {wave.size} · {devices(wave.devices)}", _word(wave, view), told, text)


def _word(wave: WaveView, view: RolloutView) -> str:
    if not wave.is_open:
        return "not open yet" if view.ended_at is None else "never opened"
    if wave.settled >= wave.devices:
        is_newest = wave.wave == view.wave and view.state in ("running", "paused") and view.ended_at is None
        return "being watched" if is_newest else "done"
    return "open" if view.ended_at is None else "ended"


def strategy(name: str) -> str:
    """Say how a change reaches its devices; a strategy that this release does not know by its name."""
    return STRATEGIES.get(name, name.replace("-", " "))


def reason(view: RolloutView) -> str:
    """Say where a rollout stands and why, in words."""
    going_on = view.ended_at is None and view.state in ("failed", "aborted")
    # Without a bound on losses and without a gate, nothing ever stops one.
    is_unbounded = view.plan is not None and view.plan.threshold is None and not view.plan.limits
    state = UNBOUNDED if view.state == "failed" and is_unbounded else STATES.get(view.state, "")
    said = view.state_reason and f"{view.state_reason[0].upper()}{view.state_reason[1:]}{'' if view.state_reason.endswith('.') else '.'}"
    return " ".join(filter(None, (state, said, "Its last devices are still followed." if going_on else "")))


def facts_of(plan: PlanView) -> list[tuple[str, str]]:
    """Return what a rollout was told at its start; what was not asked is left out."""
    return [
        ("Stops at", f"more than {plan.threshold} lost" if plan.threshold else "nothing: it goes to its end, whoever is lost"),
        ("Each wave is watched", f"{duration(plan.soak_s)} after its last outcome" if plan.soak_s else ""),
        ("Evidence is waited for", duration(plan.patience_s) if plan.limits else ""),
        ("An outcome is due", f"{duration(plan.deadline_s)} after a device was met"),
        ("Contact is waited for", duration(plan.contact_s)),
        ("Hours", f"{plan.window} by each device's clock, else {plan.zone}" if plan.window else ""),
        ("Rate", f"at most {plan.rate_per_min} a minute" if plan.rate_per_min else ""),
        ("Halves are compared", duration(plan.hold_s) if plan.hold_s else ""),
        ("Newcomers", "join the last wave" if plan.newcomers else ""),
        ("A stop", "takes it back from those that have it" if plan.take_back else ""),
        ("Approval", "by a second person" if plan.approval else ""),
    ]
