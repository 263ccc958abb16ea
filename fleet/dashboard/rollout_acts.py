"""Decides what people may do to a rollout now, why not, and what exactly it would do to how many devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contracts.lifecycle import FINAL, Phase
from fleet.core.roles import Caller
from fleet.core.rollout.acts import NOT_YET_STAGING
from fleet.core.rollout.model import LOST
from fleet.dashboard.confirm import Ask
from fleet.dashboard.orders import Route, obstacle
from fleet.dashboard.words import devices, release_name, words_of
from fleet.views.rollouts import RolloutView


@dataclass(frozen=True)
class Act:
    """One thing to do."""

    name: str
    text: str
    icon: str
    # States in which it can be done, before the rollout's end; None: only after it.
    states: tuple[str, ...] | None
    ask: Callable[[RolloutView], tuple[str, ...]]
    # Why not, beside the state.
    why_not: Callable[[RolloutView, Caller], str]
    is_grave: bool = False

    @property
    def route(self) -> Route:
        """Return the API's route that does the same."""
        return "POST", f"/rollouts/{{rollout}}/{self.name}"

    def obstacle(self, view: RolloutView, caller: Caller | None) -> str:
        """Say why it cannot be done; empty where it can."""
        if caller is None or obstacle(caller, self.route):
            return obstacle(caller, self.route)
        if self.states is None:
            return "Only once it has ended, with an outcome on every device." if view.ended_at is None else self.why_not(view, caller)
        if view.ended_at is not None or view.state not in self.states:
            found = "it has ended" if view.ended_at else f"it is {words_of(view.state)}"
            return f"Only while it is {' or '.join(map(words_of, self.states))}; {found}."
        return self.why_not(view, caller)

    def question(self, view: RolloutView) -> Ask:
        """Return what is asked before."""
        return Ask(f"{self.text} rollout {view.id} of {release_name(view.release)}?", self.ask(view), self.text, self.is_grave)


def waiting(view: RolloutView) -> int:
    """Return how many devices were not offered anything yet."""
    return view.counts.get(Phase.PLANNED, 0)


def under_way(view: RolloutView) -> int:
    """Return how many were offered the release and have no outcome."""
    return sum(count for phase, count in view.counts.items() if phase not in FINAL and phase is not Phase.PLANNED)


def committed(view: RolloutView) -> int:
    """Return how many have the release."""
    return view.counts.get(Phase.COMMITTED, 0)


def lost(view: RolloutView) -> int:
    """Return how many came to a bad end."""
    return sum(count for phase, count in view.counts.items() if phase in LOST)


def _no_more(_view: RolloutView, _caller: Caller) -> str:
    return ""


def _second_person(view: RolloutView, caller: Caller) -> str:
    return f"A second person has to approve it: {caller.name} started it." if caller.name == view.started_by else ""


def is_in_shadow(view: RolloutView) -> bool:
    """Say whether the open wave has not passed its shadow yet."""
    return view.shadow is not None and view.shadow.proven < view.wave


def _has_next_wave(view: RolloutView, _caller: Caller) -> str:
    if is_in_shadow(view):
        return ""
    if view.wave >= len(view.waves):
        return "The last wave is open already."
    unsettled = sum(wave.devices - wave.settled for wave in view.waves if wave.is_open)
    return f"{devices(unsettled)} of the open wave {'has' if unsettled == 1 else 'have'} no outcome yet." if unsettled else ""


def _has_committed(view: RolloutView, _caller: Caller) -> str:
    return "" if committed(view) else "No device has the release, so that there is nothing to take back."


def _has_lost(view: RolloutView, _caller: Caller) -> str:
    return "" if lost(view) else "No device was lost, so that there is nobody to offer it to again."


def _ask_approve(view: RolloutView) -> tuple[str, ...]:
    first = next((wave.devices for wave in view.waves), waiting(view))
    return (
        f"It begins at once: {devices(min(first, waiting(view)))} of the first wave {_are(first)} offered the release.",
        f"{devices(waiting(view))} are meant in all.",
    )


def _ask_pause(view: RolloutView) -> tuple[str, ...]:
    return (
        f"{devices(waiting(view))} that were offered nothing yet will be offered nothing until it is resumed.",
        f"Those on their way go on ({devices(under_way(view))}), and those that have it keep it ({devices(committed(view))}).",
    )


def _ask_resume(view: RolloutView) -> tuple[str, ...]:
    return (
        f"Offers go on: {devices(waiting(view))} are still to be offered the release, wave by wave.",
        "A gate that was waited for has all its patience again.",
    )


def _ask_promote(view: RolloutView) -> tuple[str, ...]:
    said = view.gate.reason if view.gate else "it has not said anything yet"
    if is_in_shadow(view):
        shadows = view.shadow.devices if view.shadow else 0
        whom = f"{devices(shadows)} in shadow now {_are(shadows)}"
        return (
            f"Wave {view.wave} of {len(view.waves)} goes on in earnest: {whom} asked to serve it.",
            f"The gate is not waited for. It says: {said}",
        )
    following = next((wave.devices for wave in view.waves if wave.wave == view.wave + 1), 0)
    return (
        f"Wave {view.wave + 1} of {len(view.waves)} opens at once: {devices(following)} more {_are(following)} offered the release.",
        f"The gate is not waited for. It says: {said}",
    )


def _ask_abort(view: RolloutView) -> tuple[str, ...]:
    withdrawn = sum(view.counts.get(phase, 0) for phase in NOT_YET_STAGING)
    finishing = sum(count for phase, count in view.counts.items() if phase not in FINAL and phase not in NOT_YET_STAGING)
    return (
        f"It is withdrawn from {devices(withdrawn)} that did not begin to stage it; they keep what they run.",
        f"Those further on finish by themselves ({devices(finishing)}), and those that have it keep it ({devices(committed(view))}).",
        "An aborted rollout cannot be resumed.",
    )


def _ask_rollback(view: RolloutView) -> tuple[str, ...]:
    release = release_name(view.release)
    return (
        f"A new rollout brings {devices(committed(view))} that have {release} back to what each ran before, all at once.",
        "Hours and approvals do not hold it up; devices that are away follow when they come back.",
    )


def _ask_retry(view: RolloutView) -> tuple[str, ...]:
    counts = ", ".join(f"{view.counts[phase]} {words_of(phase.value)}" for phase in sorted(LOST) if view.counts.get(phase))
    return (
        f"A new rollout offers the release again to {devices(lost(view))} that were lost ({counts}), all at once and without a gate.",
        "Devices that committed are left alone.",
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


ACTS: Mapping[str, Act] = {
    act.name: act
    for act in (
        Act("approve", "Approve", "how_to_reg", ("waiting",), _ask_approve, _second_person),
        Act("pause", "Pause", "pause", ("running",), _ask_pause, _no_more),
        Act("resume", "Resume", "play_arrow", ("paused",), _ask_resume, _no_more),
        Act("promote", "Promote", "skip_next", ("running", "paused"), _ask_promote, _has_next_wave),
        Act("abort", "Abort", "cancel", ("waiting", "running", "paused"), _ask_abort, _no_more, is_grave=True),
        Act("rollback", "Roll back", "undo", None, _ask_rollback, _has_committed, is_grave=True),
        Act("retry", "Retry failed", "replay", None, _ask_retry, _has_lost),
    )
}
