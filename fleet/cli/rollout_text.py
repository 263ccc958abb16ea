"""How rollouts look in a terminal: the waves, what the gate says, the devices, and what happened."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.cli.output import plain, styled
from fleet.views.rollouts import RolloutSummary, RolloutView, ShadowView, ShadowWork, WaveView

# More devices do not fit a screen; those that are done and well are left out first.
MAX_DEVICES = 200
# How both sides of a comparison are called, where not canary and control.
ARMS = {"split": ("RELEASE", "RIVAL"), "shadow": ("IN SHADOW", "LIVE")}


def drawn(view: RolloutView) -> RenderableType:
    """Return one rollout with its devices."""
    parts: list[RenderableType] = [_title(view)]
    if len(view.waves) > 1:
        parts.append(_waves(view))
    if view.gate is not None:
        parts.append(Text.assemble("gate: ", styled(view.gate.decision), " ", plain(view.gate.reason)))
        parts.extend([_report(view)] if view.gate.report else [])
    if view.shadow is not None:
        parts.append(_shadow(view.shadow, len(view.waves)))
    parts.append(_devices(view))
    return Group(*parts)


def state(view: RolloutSummary) -> Text:
    """Return where a rollout stands, and why."""
    is_going_on = view.ended_at is None and view.state in ("failed", "aborted")
    reason = "; ".join(filter(None, (view.state_reason, "its last devices are followed" if is_going_on else "")))
    return styled(view.state, f"({reason})" if reason else "")


def counts(view: RolloutSummary) -> Text:
    """Return how many devices are in each phase."""
    return Text(", ").join(Text.assemble(f"{count} ", styled(phase.value)) for phase, count in view.counts.items())


def history(view: RolloutView) -> Table:
    """Return who did what."""
    table = _table("WHEN", "WHO", "WHAT", "")
    for line in view.history:
        table.add_row(line.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"), plain(line.actor), line.act, plain(line.text))
    return table


def _title(view: RolloutView) -> Text:
    how = "" if view.strategy == "all-at-once" else f", {view.strategy}"
    return Text.assemble(f"rollout {view.id}: {view.what} {view.whom}{how}, ", state(view))


def _report(view: RolloutView) -> Table:
    """Return how both arms differ, metric by metric: what one has, the other has, and how sure the difference is."""
    assert view.gate is not None
    ours, theirs = ARMS.get(view.strategy, ("CANARY", "CONTROL"))
    table = _table("METRIC", ours, theirs, "DIFFERENCE", "95 % INTERVAL", f"{ours} IS HIGHER", "DEVICES", "")
    for found in view.gate.report:
        table.add_row(
            found.metric,
            f"{found.canary:.4g}",
            f"{found.control:.4g}",
            f"{found.difference:+.4g}",
            f"{found.low:+.4g} to {found.high:+.4g}",
            f"{found.probability_higher:.1%}",
            f"{found.canary_devices} and {found.control_devices}",
            found.unit,
        )
    return table


def _waves(view: RolloutView) -> Table:
    table = _table("WAVE", "UP TO", "DEVICES", "OFFERED", "DONE", "")
    for wave in view.waves:
        done = wave.settled if wave.is_open else 0  # what was withdrawn with a wave that never opened is not done
        table.add_row(str(wave.wave), wave.size, str(wave.devices), str(wave.offered), str(done), _standing(wave, view))
    return table


def _standing(wave: WaveView, view: RolloutView) -> str:
    if not wave.is_open:
        return "" if view.ended_at is None else "never opened"
    if wave.settled < wave.devices:
        return f"{wave.in_shadow} in shadow" if wave.in_shadow else "open"
    return "being watched" if wave.wave == view.wave and view.state in ("running", "paused") and view.ended_at is None else "done"


def _shadow(shadow: ShadowView, waves: int) -> Text:
    seen = "nothing compared yet" if shadow.agreement is None else f"agreement {shadow.agreement:.2%}"
    first = (
        f"shadow: {seen}; {shadow.devices} devices in shadow now, {shadow.proven} of {waves} waves passed, on {shadow.share:.2%} of inputs"
    )
    return Text(first if shadow.work is None else f"{first}\n{_shadow_work(shadow.work)}")


def _shadow_work(work: ShadowWork) -> str:
    shift = "" if work.confidence_shift is None else f"; winning score {work.confidence_shift:+.3f}"
    latency = "" if work.p95_ms is None or work.live_p95_ms is None else f"; p95 {work.p95_ms:.3g} ms, live {work.live_p95_ms:.3g} ms"
    counts = f"{work.compared} inputs compared, {work.errors} failed, {work.dropped} dropped, paused for {work.paused_s:.0f} s"
    return f"newest windows of {work.devices} devices: {counts}{shift}{latency}"


def _devices(view: RolloutView) -> RenderableType:
    table = _table("DEVICE", "WAVE", "PHASE", "PROGRESS", "REASON")
    for device in view.devices:
        reason = plain(device.reason)
        table.add_row(device.device, str(device.wave), styled(device.phase.value), f"{device.progress:.0%}", reason)
    hidden = sum(view.counts.values()) - len(view.devices)
    return Group(table, Text(f"and {hidden} more; --json shows all")) if hidden else table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
