"""What a gate makes of what candidates did in shadow, with many devices and with one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from contracts.shadow import ShadowPart
from contracts.sketches import Sketch, bin_of
from fleet.core.gates.evidence import Metric
from fleet.core.gates.gate import assess
from fleet.core.gates.shadow import shadow_evidence
from fleet.core.gates.verdict import Decision, GatePolicy

POLICY = GatePolicy({Metric.DISAGREEMENT: 0.02})


def part(compared: int, agreed: int, errors: int = 0, shift: float = 0.0, ms: float = 10.0) -> ShadowPart:
    told, live = (Sketch.of({bin_of(value): compared}) for value in (ms, 10.0))
    return ShadowPart(
        manifest_sha256="2" * 64, compared=compared, agreed=agreed, errors=errors, scored=compared, shift=shift, shift_squares=shift**2,
        latencies=told, live_latencies=live,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "decision"),
    [
        ([part(1000, 999)] * 5, Decision.PASS),
        ([part(1000, 900), part(1000, 890), part(1000, 905), part(1000, 899), part(1000, 880)], Decision.STOP),
        ([part(1000, 1000, errors=200)] * 2, Decision.STOP),
        ([part(5000, 4999)], Decision.PASS),
        ([part(1000, 700)], Decision.STOP),
        ([part(300, 296)], Decision.WAIT),  # one device, few inputs
        ([part(50, 0)] * 20, Decision.WAIT),  # each saw too few
        ([], Decision.WAIT),
    ],
)
def test_the_gate_is_sure_of_what_enough_inputs_show(parts: list[ShadowPart], decision: Decision) -> None:
    assert assess(POLICY, shadow_evidence(parts, 200, 1.2)).decision is decision


def test_confidence_latency_and_errors_are_judged_on_the_very_same_inputs() -> None:
    policy = GatePolicy({Metric.CONFIDENCE: 0.05, Metric.LATENCY: 0.05, Metric.ERRORS: 0.02})
    worse = [part(1000, 1000, errors=100 + n, shift=-300.0 + n, ms=30.0) for n in range(8)]
    same = [part(1000, 1000, shift=float(n), ms=10.0) for n in range(8)]

    found = {metric.metric: metric.decision for metric in assess(policy, shadow_evidence(worse, 200, 1.2)).metrics}
    assert set(found.values()) == {Decision.STOP}
    assert assess(policy, shadow_evidence(same, 200, 1.2)).decision is Decision.PASS


def test_few_devices_are_not_wrongly_stopped_or_passed_more_often_than_the_gate_says(tell: Callable[[str], None]) -> None:
    random = np.random.default_rng(5)
    shares: dict[str, float] = {}
    for name, disagreement, wrong in (("good", 0.01, Decision.STOP), ("bad", 0.04, Decision.PASS)):
        mistakes = 0
        for _ in range(200):
            seen = agreed = 0
            for _look in range(20):
                seen, agreed = seen + 200, agreed + 200 - int(random.binomial(200, disagreement))
                decision = assess(POLICY, shadow_evidence([part(seen, agreed)], 200, 1.2)).decision
                if decision is not Decision.WAIT:
                    break
            mistakes += decision is wrong
        shares[name] = mistakes / 200
    tell(f"shadow of one device: 1 % disagreement was wrongly stopped in {shares['good']:.1%}, 4 % wrongly passed in {shares['bad']:.1%}")
    assert shares["good"] <= POLICY.false_stop
    assert shares["bad"] <= POLICY.false_pass
