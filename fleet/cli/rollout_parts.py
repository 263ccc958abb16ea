"""Puts a rollout together from the API's lists: whole for programs, and as much as a screen shows for people."""

from __future__ import annotations

from fleet.cli.client import ApiClient
from fleet.cli.pages import every, first
from fleet.cli.rollout_text import MAX_DEVICES
from fleet.core.rollout.interest import INTEREST
from fleet.views.rollouts import RolloutDeviceView, RolloutEntryView, RolloutSummary, RolloutView

# Lines of history that are shown, the newest.
MAX_LINES = 100


def whole(api: ApiClient, summary: RolloutSummary) -> RolloutView:
    """Return a rollout with every device and every line of its history."""
    under = f"rollouts/{summary.id}"
    history = every(api, f"{under}/history", RolloutEntryView)
    devices = every(api, f"{under}/devices", RolloutDeviceView)
    return RolloutView(**dict(summary), devices=devices, history=tuple(reversed(history)))


def shown(api: ApiClient, summary: RolloutSummary) -> RolloutView:
    """Return a rollout with those of its devices that people want to see first."""
    found: list[RolloutDeviceView] = []
    for phases in INTEREST:
        left = MAX_DEVICES - len(found)
        if left and any(summary.counts.get(phase) for phase in phases):
            wanted = {"state": sorted(phase.value for phase in phases)}
            found += first(api, f"rollouts/{summary.id}/devices", RolloutDeviceView, left, wanted)
    return RolloutView(**dict(summary), devices=tuple(found))


def with_history(api: ApiClient, summary: RolloutSummary) -> RolloutView:
    """Return a rollout with the newest lines of its history."""
    history = first(api, f"rollouts/{summary.id}/history", RolloutEntryView, MAX_LINES)
    return RolloutView(**dict(summary), history=tuple(reversed(history)))
