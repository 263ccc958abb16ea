"""The panel of a rollout by shadow: how the release does beside the one that serves, and what that costs the devices."""

from __future__ import annotations

from fleet.dashboard.parts import facts, panel
from fleet.dashboard.words import count, devices, duration, number
from fleet.views.rollouts import ShadowView, ShadowWork

Shown = tuple[ShadowView | None, int]


def draw_shadow(shown: Shown) -> None:
    """What is known of the shadows; nothing where a rollout has none."""
    shadow, waves = shown
    if shadow is None:
        return
    with panel("In shadow, beside the release that serves"):
        facts(facts_of(shadow, waves))


def facts_of(shadow: ShadowView, waves: int) -> list[tuple[str, str]]:
    """Return names and values; what devices have not told yet is said to be missing."""
    return [
        ("Agreement", _agreement(shadow)),
        *(work_facts(shadow.work) if shadow.work else ()),
        ("In shadow now", f"{devices(shadow.devices)}; {shadow.proven} of {waves} waves have passed"),
        ("Sees", f"{_percent(shadow.share)} of the live inputs; a device counts from {count(shadow.min_inputs)} on"),
        ("Pauses", _budgets(shadow)),
    ]


def work_facts(work: ShadowWork) -> list[tuple[str, str]]:
    """Return what the newest windows told."""
    inputs = work.compared + work.errors + work.dropped
    dropped = f"{count(work.dropped)} of {count(inputs)} sampled inputs" if work.dropped else "none"
    same = f"{_percent(work.agreed / (work.compared + work.errors))} of inputs, by " if work.compared + work.errors else "told by "
    return [
        ("Newest agreement", f"{same}the newest windows of {devices(work.devices)}"),
        ("Confidence", "" if work.confidence_shift is None else f"{_signed(work.confidence_shift)} against the live release, on average"),
        ("Latency, median", _beside(work.p50_ms, work.live_p50_ms)),
        ("Latency, p95", _beside(work.p95_ms, work.live_p95_ms)),
        ("Compared", f"{count(work.compared)} inputs, and {count(work.errors)} on which it failed"),
        ("Dropped for lack of time", dropped),
        ("Paused for its budgets", f"{duration(round(work.paused_s))} in all" if work.paused_s else "never"),
    ]


def _agreement(shadow: ShadowView) -> str:
    if shadow.agreement is not None:
        return f"{_percent(shadow.agreement)} of inputs, on average over the devices that count"
    return f"no device counts yet: each must tell of {count(shadow.min_inputs)} inputs"


def _budgets(shadow: ShadowView) -> str:
    cpu = "" if shadow.max_cpu is None else f"above {_percent(shadow.max_cpu)} of one core"
    heat = "while heat slows the device" if shadow.max_temperature_c is None else f"above {shadow.max_temperature_c:g} °C"
    return ", and ".join(filter(None, (cpu, heat)))


def _beside(ours_ms: float | None, live_ms: float | None) -> str:
    if ours_ms is None:
        return ""
    live = "" if live_ms is None else f", live {number(live_ms)} ms"
    return f"{number(ours_ms)} ms{live}"


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '−'}{abs(value):.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
