"""Puts rollouts in the words of the REST API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from contracts.lifecycle import Phase
from fleet.core.gates.evidence import Metric
from fleet.core.gates.gate import KINDS, Comparison, GateVerdict
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Member, Rollout
from fleet.store.rollouts import Crowd, Outline
from fleet.views import (
    ComparisonView,
    GateView,
    MetricView,
    RolloutDeviceView,
    RolloutEntryView,
    RolloutSummary,
    ShadowView,
    WaveView,
)


def summarised(outline: Outline) -> RolloutSummary:
    """Return a rollout without its devices."""
    rollout, counts = outline.rollout, Counter[Phase]()
    for crowd in outline.crowds:
        counts[crowd.phase] += crowd.devices
    return RolloutSummary(
        id=rollout.id,
        release=rollout.release,
        query=rollout.query,
        state=rollout.state.value,
        state_reason=rollout.state_reason,
        started_at=rollout.started_at,
        ended_at=rollout.ended_at,
        counts=dict(counts),
        strategy=rollout.plan.strategy.value,
        kind=rollout.kind.value,
        origin=rollout.origin,
        started_by=rollout.started_by,
        wave=rollout.wave + 1,
        waves=_waves(rollout, outline.crowds),
        gate=None if rollout.verdict is None else _gate(rollout.verdict),
        version=rollout.version,
        shadow=_shadow(rollout, counts.get(Phase.SHADOW, 0)),
    )


def entry_view(entry: Entry) -> RolloutEntryView:
    """Return one line of a rollout's history."""
    return RolloutEntryView(at=entry.at, actor=entry.actor, act=entry.act, text=entry.text)


def device_view(member: Member) -> RolloutDeviceView:
    """Return how a rollout stands on one device."""
    return RolloutDeviceView(
        device=member.device,
        phase=member.phase,
        progress=member.progress,
        reason=member.reason,
        wave=member.wave + 1,
        target=member.target,
    )


def _shadow(rollout: Rollout, devices: int) -> ShadowView | None:
    plan = rollout.plan
    if plan.shadow is None:
        return None
    seen = [found.canary for found in (rollout.verdict.metrics if rollout.verdict else ()) if found.metric is Metric.DISAGREEMENT]
    differ = next((canary for canary in seen if canary is not None), None)
    agreement = None if differ is None else 1.0 - differ
    return ShadowView(share=plan.shadow.share, min_inputs=plan.min_inputs, proven=rollout.proven, devices=devices, agreement=agreement)


def _waves(rollout: Rollout, crowds: Sequence[Crowd]) -> tuple[WaveView, ...]:
    devices, offered, settled = Counter[int](), Counter[int](), Counter[int]()
    for crowd in crowds:
        devices[crowd.wave] += crowd.devices
        offered[crowd.wave] += crowd.offered
        settled[crowd.wave] += crowd.devices if crowd.is_settled else 0
    return tuple(
        WaveView(
            wave=wave + 1,
            size=str(size),
            devices=devices[wave],
            offered=offered[wave],
            settled=settled[wave],
            is_open=wave <= rollout.wave,
        )
        for wave, size in enumerate(rollout.plan.waves)
    )


def _gate(verdict: GateVerdict) -> GateView:
    return GateView(
        decision=verdict.decision.value,
        reason=verdict.reason,
        metrics=tuple(
            MetricView(
                metric=found.metric.value,
                decision=found.decision.value,
                canary=found.canary,
                control=found.control,
                probability_worse=found.probability_worse,
                reason=found.reason,
                devices=found.devices,
                unit=KINDS[found.metric].unit,
                limit=found.limit,
                toward_stop=found.toward_stop,
                toward_pass=found.toward_pass,
            )
            for found in verdict.metrics
        ),
        report=tuple(map(_comparison, verdict.report)),
    )


def _comparison(found: Comparison) -> ComparisonView:
    return ComparisonView(
        metric=found.metric.value,
        unit=KINDS[found.metric].unit,
        canary=found.canary,
        control=found.control,
        difference=found.difference,
        low=found.low,
        high=found.high,
        probability_higher=found.probability_higher,
        canary_devices=found.canary_devices,
        control_devices=found.control_devices,
    )
