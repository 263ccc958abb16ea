"""Decides how a rollout goes from what was asked: the strategies' own waves, thresholds and gates, and what does not fit together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from contracts.pace import Hours
from contracts.shadow import MAX_LIFE_S, ShadowTerms
from fleet.core.gates.evidence import Metric
from fleet.core.gates.verdict import GatePolicy
from fleet.core.rollout.plan import EVERYBODY, Plan, Size, Strategy
from fleet.errors.rollouts import PlanError
from fleet.requests.rollouts import GateName, NewRollout
from fleet.zones import zone_of

# What a release can be told by while it serves, and while it only runs beside another one.
SERVING: frozenset[GateName] = frozenset({"errors", "p95", "restarts", "temperature", "drift"})
IN_SHADOW: frozenset[GateName] = frozenset({"errors", "p95", "agreement", "confidence"})
# A device that hears nothing of its fleet for so long drops a candidate by itself; longer where the plan waits longer.
SHADOW_LIFE_S = 7 * 86400.0
METRICS: Mapping[GateName, Metric] = {
    "errors": Metric.ERRORS,
    "p95": Metric.LATENCY,
    "restarts": Metric.RESTARTS,
    "temperature": Metric.TEMPERATURE,
    "drift": Metric.DRIFT,
    "agreement": Metric.DISAGREEMENT,
    "confidence": Metric.CONFIDENCE,
}
# A release whose 95th percentile is at most the usual one times the plan's ratio has fewer slow requests than this.
SLOW_SHARE = 0.05

A_TWENTIETH = Size(5, is_percent=True)
OWN: Mapping[Strategy, Plan] = {
    Strategy.ALL_AT_ONCE: Plan(),
    Strategy.PHASED: Plan(Strategy.PHASED, tuple(Size(share, is_percent=True) for share in (10, 50, 100)), A_TWENTIETH),
    Strategy.CANARY: Plan(
        Strategy.CANARY,
        tuple(Size(share, is_percent=True) for share in (1, 10, 50, 100)),
        A_TWENTIETH,
        GatePolicy({Metric.ERRORS: 0.02}),
        soak_s=300.0,
        takes_back=True,
    ),
    Strategy.SHADOW: Plan(
        Strategy.SHADOW,
        tuple(Size(share, is_percent=True) for share in (10, 50, 100)),
        A_TWENTIETH,
        GatePolicy({Metric.DISAGREEMENT: 0.02}),
        shadow=ShadowTerms(share=0.05),
        min_inputs=200,
    ),
    Strategy.SPLIT: Plan(Strategy.SPLIT, gate=GatePolicy({Metric.ERRORS: 0.01}), hold_s=86400.0),
}


def plan_of(new: NewRollout) -> Plan:
    """Return the plan; raise PlanError for parts that do not fit together."""
    own = OWN[Strategy(new.strategy)]
    if (new.rival is None) is (own.strategy is Strategy.SPLIT):
        raise PlanError("rival", "a second release for a split, and only for it", f"{new.rival} for {own.strategy.value}")
    if new.hold_s is not None and own.strategy is not Strategy.SPLIT:
        raise PlanError("hold", "it for a split only", own.strategy.value)
    if zone_of(new.zone) is None:
        raise PlanError("zone", "a time zone of this system such as Europe/Paris", new.zone)
    waves = _waves(new.waves) if new.waves else own.waves
    if len(waves) > 1 and own.strategy in (Strategy.ALL_AT_ONCE, Strategy.SPLIT):
        raise PlanError("waves", f"one for {own.strategy.value}", f"{len(waves)}; choose phased or canary")
    if new.gate and own.strategy is Strategy.ALL_AT_ONCE:
        raise PlanError("gate", "it for waves or a split", own.strategy.value)
    allowed = IN_SHADOW if own.strategy is Strategy.SHADOW else SERVING
    if unfit := sorted((new.gate or {}).keys() - allowed):
        raise PlanError("gate", f"{', '.join(sorted(allowed))} for {own.strategy.value}", ", ".join(unfit))
    return replace(
        own,
        waves=waves,
        gate=_gate(new.gate) if new.gate else own.gate,
        latency_ratio=(new.gate or {}).get("p95", own.latency_ratio),
        threshold=_size(new.threshold) if new.threshold else own.threshold,
        soak_s=own.soak_s if new.soak_s is None else new.soak_s,
        patience_s=new.patience_s,
        deadline_s=new.deadline_s,
        contact_s=new.deadline_s if new.contact_s is None else new.contact_s,
        hours=Hours.parse(new.window or ""),
        zone=new.zone,
        rate_per_min=new.rate_per_min,
        needs_approval=new.approval,
        takes_newcomers=new.newcomers,
        takes_back=own.takes_back if new.take_back is None else new.take_back,
        hold_s=own.hold_s if new.hold_s is None else new.hold_s,
        shadow=_terms(new, own),
        min_inputs=own.min_inputs if new.min_inputs is None else new.min_inputs,
    )


def _terms(new: NewRollout, own: Plan) -> ShadowTerms | None:
    given = {"share": new.share, "max_cpu_share": new.max_cpu, "max_temperature_c": new.max_temperature_c}
    wanted = {name: value for name, value in given.items() if value is not None}
    if own.shadow is None:
        if wanted or new.min_inputs is not None:
            raise PlanError("shadow", "a share, inputs, CPU and temperature for the strategy shadow only", own.strategy.value)
        return None
    soak_s = own.soak_s if new.soak_s is None else new.soak_s
    life_s = min(MAX_LIFE_S, max(SHADOW_LIFE_S, 2 * (soak_s + new.patience_s)))
    return own.shadow.model_copy(update={**wanted, "life_s": life_s})


def _size(text: str) -> Size:
    return Size(float(text.removesuffix("%")), is_percent=text.endswith("%"))


def _waves(texts: tuple[str, ...]) -> tuple[Size, ...]:
    sizes = tuple(map(_size, texts))
    if sizes[-1] != EVERYBODY:
        raise PlanError("waves", "100% for the last", texts[-1])
    for kind in (True, False):
        amounts = [size.amount for size in sizes if size.is_percent is kind]
        if amounts != sorted(set(amounts)) or (amounts and amounts[-1] > 100 and kind):
            raise PlanError("waves", "sizes that grow, up to 100%", ",".join(texts))
    return sizes


def _gate(limits: Mapping[GateName, float]) -> GatePolicy:
    if limits.get("p95", 2.0) <= 1.0:
        raise PlanError("gate", "a multiple above 1 for p95, such as 1.2", f"{limits['p95']:g}")
    if limits.get("agreement", 0.5) >= 1.0:
        raise PlanError("gate", "a share below 1 for agreement, such as 0.98", f"{limits['agreement']:g}")
    read: Mapping[GateName, Callable[[float], float]] = {"p95": lambda _: SLOW_SHARE, "agreement": lambda least: 1.0 - least}
    return GatePolicy({METRICS[name]: read.get(name, float)(limit) for name, limit in limits.items()})
