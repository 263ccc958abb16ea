"""The panel in which a gate tells what it sees: per metric canary against control, how sure it is, and what it lacks."""

from __future__ import annotations

from collections import Counter
from functools import partial

from nicegui import ui

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.rollout.model import LOST
from fleet.dashboard.gate_words import MetricLine, cells_of, headline, line_of, rule
from fleet.dashboard.parts import badge, panel, row, table
from fleet.dashboard.words import release_name
from fleet.views.rollouts import GateView, PlanView, RolloutView

# How both sides of a comparison are called, where not canary and control.
ARMS = {"split": ("This release", "The other"), "shadow": ("In shadow", "Live")}
SPLIT_RULE = "The limits say how the release does; nothing is stopped and no wave is opened by them."
Shown = tuple[GateView | None, PlanView | None, str]


def draw_gate(shown: Shown) -> None:
    """What the gate of the open wave said last; nothing where there is none."""
    gate, plan, strategy = shown
    if plan is None or not plan.limits:
        return
    one, other = ARMS.get(strategy, ("Canary", "Control"))
    with panel("Limits of the split" if strategy == "split" else "Gate of the open wave") as bar:
        if gate is None:
            ui.label("It has not said anything yet: it looks once devices have the release and report their work.").classes("ff-muted")
        else:
            with bar:
                badge(f"gate-{gate.decision}")
                if strategy != "split":  # there its limits open and stop nothing
                    ui.label(headline(gate))
            with table(["Metric", "Verdict", one, other, "Difference (95 % interval)", "Allowed", "Worse than allowed", "Evidence so far"]):
                report = {found.metric: found for found in gate.report}
                for metric in gate.metrics:
                    _draw_line(line_of(metric, report.get(metric.metric)))
        ui.label(SPLIT_RULE if strategy == "split" else rule(plan)).classes("ff-tile-note ff-rule")


def _draw_line(line: MetricLine) -> None:
    row(
        line.name,
        partial(badge, f"gate-{line.decision}"),
        line.canary,
        line.control,
        line.difference,
        line.allowed,
        line.probability,
        partial(_draw_evidence, line),
    )


def _draw_evidence(line: MetricLine) -> None:
    with ui.element("div").classes(f"ff-evidence ff-evidence-{line.decision}").props(f'role=img aria-label="{line.evidence_text}"'):
        ui.element("b").style(f"width: {100 * line.evidence:.0f}%")
    ui.label(line.evidence_text)
    if line.need:
        ui.label(line.need).classes("ff-tile-note")


def draw_halves(view: RolloutView | None) -> None:
    """How both releases of a split do, side by side."""
    if view is None:
        return
    halves = halves_of(view)
    with panel("Both halves"):
        with table(["Release", "Devices", "Have it", "Lost"]):
            for target, phases in halves.items():
                lost = sum(phases[phase] for phase in LOST)
                row(release_name(target), str(sum(phases.values())), str(phases[Phase.COMMITTED]), str(lost))
        if view.gate and view.gate.report:
            one, other = [*map(release_name, halves), "the other"][:2]
            with table(["Metric", one, other, "Difference (95 % interval)", f"{one} is higher", "Devices that tell"]):
                for found in view.gate.report:
                    row(*cells_of(found))


def halves_of(view: RolloutView) -> dict[ReleaseRef, Counter[Phase]]:
    """Return the phases of each release's devices, the rollout's own release first."""
    found: dict[ReleaseRef, Counter[Phase]] = {view.release: Counter()}
    for device in view.devices:
        if device.target is not None:
            found.setdefault(device.target, Counter())[device.phase] += 1
    return found
