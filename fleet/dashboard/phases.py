"""A rollout's devices by phase, as one bar in colours and as counts in words."""

from __future__ import annotations

from nicegui import ui

from contracts.lifecycle import FINAL, Phase
from fleet.dashboard.words import PHASES, words_of
from fleet.views.rollouts import RolloutView


def draw_split(view: RolloutView, classes: str) -> None:
    """The devices by phase as one bar, in the order of the life cycle."""
    told = ", ".join(f"{count} {words_of(phase.value)}" for phase, count in _counts(view))
    with ui.element("div").classes(classes).props(f'role=img aria-label="Devices: {told}"'):
        for phase, count in _counts(view):
            part = ui.element("div").classes(f"ff-phase-{phase.value}").style(f"flex: {count} 1 0")
            part.props(f'title="{count} {words_of(phase.value)}"')


def draw_legend(view: RolloutView) -> None:
    """The counts, which are also the colours' key."""
    with ui.element("div").classes("ff-legend"):
        for phase, count in _counts(view):
            with ui.element("span").props(f'title="{PHASES[phase].meaning}"'):
                ui.element("i").classes(f"ff-key ff-phase-{phase.value}")
                with ui.element("b"):
                    ui.label(str(count))
                ui.label(words_of(phase.value))


def _counts(view: RolloutView) -> list[tuple[Phase, int]]:
    """Outcomes first, then those furthest on their way."""
    order = [*(phase for phase in PHASES if phase in FINAL), *reversed([phase for phase in PHASES if phase not in FINAL])]
    return [(phase, view.counts[phase]) for phase in order if view.counts.get(phase)]


def finished(view: RolloutView) -> int:
    """Return how many devices have an outcome."""
    return sum(count for phase, count in view.counts.items() if phase in FINAL)
