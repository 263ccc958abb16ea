"""Decides whether a wave may be followed by the next one: a limit for each metric, and what the evidence says of it so far."""

from __future__ import annotations

import math

from fleet.core.gates.evidence import Arm, Evidence, Metric
from fleet.core.gates.rare import compare_rare
from fleet.core.gates.rates import Rates, Values
from fleet.core.gates.sequential import Answer, Question, compare_means
from fleet.core.gates.verdict import KINDS, Comparison, Decision, GatePolicy, GateVerdict, Kind, MetricVerdict


def assess(policy: GatePolicy, evidence: Evidence) -> GateVerdict:
    """Return `stop` as soon as any limit is surely exceeded, `pass` when all are surely kept, else `wait`.

    All metrics together stop a good release with a chance of at most `false_stop`: each has an equal part of it, and the chance that any
    of them errs is at most the sum of theirs (Bonferroni), whatever hangs together with what.
    """
    metrics = tuple(_judge(policy, evidence, metric, margin) for metric, margin in policy.limits.items())
    by_decision = {decision: "; ".join(found.reason for found in metrics if found.decision is decision) for decision in Decision}
    for decision in (Decision.STOP, Decision.WAIT):
        if by_decision[decision]:
            return GateVerdict(decision, by_decision[decision], metrics)
    return GateVerdict(Decision.PASS, by_decision[Decision.PASS] or "no limits were set", metrics)


def compared(evidence: Evidence) -> tuple[Comparison, ...]:
    """Return how the arms differ, of each metric of which both say enough."""
    found = (_compared(metric, arm, evidence.control.get(metric, ())) for metric, arm in evidence.canary.items())
    return tuple(filter(None, found))


def _compared(metric: Metric, canary: Arm, control: Arm) -> Comparison | None:
    kind = KINDS[metric]
    ours, theirs = (Rates.of(arm, kind.min_weight) for arm in (canary, control))
    answer = _answer(kind, 0.0, ours, theirs)
    if answer is None:
        return None
    return Comparison(
        metric=metric,
        canary=answer.canary,
        control=answer.control,
        difference=answer.difference,
        low=answer.low,
        high=answer.high,
        probability_higher=answer.probability_worse,
        canary_devices=ours.devices,
        control_devices=theirs.devices,
    )


def answers_of(kind: Kind, margin: float, canary: Rates, control: Rates | None) -> Answer[Values] | None:
    """Ask the test that suits a metric, of one comparison or of many at once."""
    test = compare_rare if kind.is_rare else compare_means
    return test(Question(margin, kind.scale, kind.is_count, kind.is_census), canary, control)


def _answer(kind: Kind, margin: float, canary: Rates, control: Rates | None) -> Answer[float] | None:
    found = answers_of(kind, margin, canary, control)
    return None if found is None else Answer(**{name: float(value) for name, value in vars(found).items()})


def _judge(policy: GatePolicy, evidence: Evidence, metric: Metric, margin: float) -> MetricVerdict:
    kind = KINDS[metric]
    canary = Rates.of(evidence.canary.get(metric, ()), kind.min_weight)
    control = Rates.of(evidence.control.get(metric, ()), kind.min_weight) if kind.has_control else None
    answer = _answer(kind, margin, canary, control)
    if answer is None:
        reason = f"{metric.value}: expected more devices that say something, found {canary.devices}"
        if control is not None:
            reason += f" and {control.devices} to compare with"
        return MetricVerdict(metric, Decision.WAIT, None, None, None, reason, canary.devices, margin)
    to_stop, to_pass = evidence_needed(policy)
    toward_stop, toward_pass = answer.log_e_worse / to_stop, answer.log_e_better / to_pass
    return MetricVerdict(
        metric=metric,
        decision=Decision.STOP if toward_stop >= 1 else Decision.PASS if toward_pass >= 1 else Decision.WAIT,
        canary=answer.canary,
        control=None if control is None else answer.control,
        probability_worse=answer.probability_worse,
        reason=_explain(metric, margin, answer, canary.devices),
        devices=canary.devices,
        limit=margin,
        toward_stop=min(1.0, max(0.0, toward_stop)),
        toward_pass=min(1.0, max(0.0, toward_pass)),
    )


def evidence_needed(policy: GatePolicy) -> tuple[float, float]:
    """Return the logarithms of the e-values that stop and pass."""
    # Passing needs every metric's consent, so that each may use the whole chance of error.
    return math.log(len(policy.limits) / policy.false_stop), -math.log(policy.false_pass)


def _explain(metric: Metric, margin: float, answer: Answer[float], devices: int) -> str:
    kind = KINDS[metric]

    def say(value: float) -> str:
        return kind.form.format(value * kind.factor)

    seen = f"{metric.value} {say(answer.canary)} on {devices} device{'' if devices == 1 else 's'}"
    if kind.has_control:
        return f"{seen} against {say(answer.control)}: {answer.probability_worse:.1%} sure of more than {say(margin)} above"
    return f"{seen}: {answer.probability_worse:.1%} sure of more than {say(margin)}"
