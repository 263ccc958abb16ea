"""Puts rollouts in the words of the REST API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from contracts.lifecycle import Phase
from fleet.core.gates.evidence import Metric
from fleet.core.gates.gate import GateVerdict
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Member, Rollout
from fleet.views import GateView, MetricView, RolloutDeviceView, RolloutEntryView, RolloutView, ShadowView, WaveView


def outlined(rollout: Rollout, counts: Mapping[Phase, int]) -> RolloutView:
    """Return a rollout without its devices."""
    return RolloutView(
        id=rollout.id,
        release=rollout.release,
        query=rollout.query,
        state=rollout.state.value,
        state_reason=rollout.state_reason,
        started_at=rollout.started_at,
        ended_at=rollout.ended_at,
        counts=dict(counts),
        devices=(),
        strategy=rollout.plan.strategy.value,
        kind=rollout.kind.value,
        origin=rollout.origin,
        started_by=rollout.started_by,
        wave=rollout.wave + 1,
        gate=None if rollout.verdict is None else _gate(rollout.verdict),
        shadow=_shadow(rollout, counts.get(Phase.SHADOW, 0)),
    )


def detailed(rollout: Rollout, history: Sequence[Entry]) -> RolloutView:
    """Return a rollout with its devices, waves and history."""
    members = rollout.members.values()
    outline = outlined(rollout, Counter(member.phase for member in members))
    return outline.model_copy(
        update={
            "devices": tuple(map(_device, members)),
            "waves": _waves(rollout),
            "history": tuple(RolloutEntryView(at=line.at, actor=line.actor, act=line.act, text=line.text) for line in history),
        }
    )


def _device(member: Member) -> RolloutDeviceView:
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


def _waves(rollout: Rollout) -> tuple[WaveView, ...]:
    devices, offered, settled = Counter[int](), Counter[int](), Counter[int]()
    for member in rollout.members.values():
        devices[member.wave] += 1
        offered[member.wave] += member.offered_at is not None
        settled[member.wave] += member.is_settled
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
            )
            for found in verdict.metrics
        ),
    )
