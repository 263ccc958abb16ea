"""Puts rollouts in the words of the REST API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from contracts.lifecycle import FINAL, Phase
from contracts.shadow import ShadowPart
from contracts.sketches import merged
from fleet.core.gates.evidence import Metric
from fleet.core.gates.verdict import KINDS, Comparison, GateVerdict
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import LOST, Member, Rollout
from fleet.core.rollout.plan import Plan
from fleet.store.rollouts import Crowd, Outline
from fleet.views.rollouts import (
    ComparisonView,
    GateView,
    MetricView,
    PlanView,
    RolloutDeviceView,
    RolloutEntryView,
    RolloutSummary,
    ShadowView,
    ShadowWork,
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
        waves=_waves(rollout.plan, rollout.wave, outline.crowds),
        plan=_plan(rollout.plan),
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
    return ShadowView(
        share=plan.shadow.share,
        min_inputs=plan.min_inputs,
        proven=rollout.proven,
        devices=devices,
        agreement=agreement,
        max_cpu=plan.shadow.max_cpu_share,
        max_temperature_c=plan.shadow.max_temperature_c,
    )


def shadow_work(told: Mapping[str, ShadowPart]) -> ShadowWork | None:
    """Sum up what devices told of their shadows; None where none did."""
    if not told:
        return None
    parts = tuple(told.values())
    scored = sum(part.scored for part in parts)
    ours, live = merged(part.latencies for part in parts), merged(part.live_latencies for part in parts)
    return ShadowWork(
        compared=sum(part.compared for part in parts),
        agreed=sum(part.agreed for part in parts),
        errors=sum(part.errors for part in parts),
        dropped=sum(part.dropped for part in parts),
        paused_s=sum(part.paused_s for part in parts),
        devices=len(told),
        confidence_shift=sum(part.shift for part in parts) / scored if scored else None,
        p50_ms=ours.quantile(0.5) if ours.count else None,
        p95_ms=ours.quantile(0.95) if ours.count else None,
        live_p50_ms=live.quantile(0.5) if live.count else None,
        live_p95_ms=live.quantile(0.95) if live.count else None,
    )


def _waves(plan: Plan, open_wave: int, crowds: Sequence[Crowd]) -> tuple[WaveView, ...]:
    devices, offered, settled = Counter[int](), Counter[int](), Counter[int]()
    committed, lost, missing, awaited, in_shadow = Counter[int](), Counter[int](), Counter[int](), Counter[int](), Counter[int]()
    for crowd in crowds:
        devices[crowd.wave] += crowd.devices
        offered[crowd.wave] += crowd.offered
        settled[crowd.wave] += crowd.devices if crowd.is_settled else 0
        committed[crowd.wave] += crowd.devices if crowd.phase is Phase.COMMITTED else 0
        lost[crowd.wave] += crowd.devices if crowd.phase in LOST else 0
        missing[crowd.wave] += crowd.devices if crowd.is_settled and crowd.phase not in FINAL else 0
        awaited[crowd.wave] += crowd.devices - crowd.met if crowd.phase is Phase.OFFERED and not crowd.is_settled else 0
        in_shadow[crowd.wave] += crowd.devices if crowd.phase is Phase.SHADOW else 0
    return tuple(
        WaveView(
            wave=wave + 1,
            size=str(size),
            devices=devices[wave],
            offered=offered[wave],
            settled=settled[wave],
            is_open=wave <= open_wave,
            committed=committed[wave],
            lost=lost[wave],
            missing=missing[wave],
            awaited=awaited[wave],
            in_shadow=in_shadow[wave],
        )
        for wave, size in enumerate(plan.waves)
    )


def _plan(plan: Plan) -> PlanView:
    policy = plan.gate
    return PlanView(
        threshold=None if plan.threshold is None else str(plan.threshold),
        limits={metric.value: limit for metric, limit in policy.limits.items()} if policy else {},
        # The whole chance of stopping a good one wrongly is shared by the metrics.
        sure_to_stop=1 - policy.false_stop / max(1, len(policy.limits)) if policy else None,
        sure_to_pass=1 - policy.false_pass if policy else None,
        latency_ratio=plan.latency_ratio,
        soak_s=plan.soak_s,
        patience_s=plan.patience_s,
        deadline_s=plan.deadline_s,
        contact_s=plan.contact_s,
        window=f"{plan.hours.start:%H:%M}-{plan.hours.end:%H:%M}" if plan.hours else "",
        zone=plan.zone,
        rate_per_min=plan.rate_per_min,
        approval=plan.needs_approval,
        newcomers=plan.takes_newcomers,
        take_back=plan.takes_back,
        hold_s=plan.hold_s,
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
