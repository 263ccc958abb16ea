"""Decides what a release in shadow gives a gate to judge by: each device is compared with itself, on the very same inputs."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.shadow import ShadowPart
from fleet.core.gates.evidence import Evidence, Metric, Sums
from fleet.core.gates.latency import slow_sums


def shadow_evidence(parts: Iterable[ShadowPart], min_inputs: int, latency_ratio: float) -> Evidence:
    """Return what devices told, one part each; one that saw fewer than `min_inputs` is left out.

    An input on which the candidate fails is one on which it does not agree.
    """
    told = [part for part in parts if part.compared + part.errors >= max(1, min_inputs)]
    seen = [part.compared + part.errors for part in told]
    pairs = [(part.latencies, part.live_latencies) for part in told]
    canary = {
        Metric.DISAGREEMENT: [Sums(inputs - part.agreed, inputs) for part, inputs in zip(told, seen, strict=True)],
        Metric.ERRORS: [Sums(part.errors, inputs) for part, inputs in zip(told, seen, strict=True)],
        Metric.CONFIDENCE: [Sums(-part.shift, part.scored) for part in told],
        Metric.LATENCY: slow_sums(pairs, [live for _, live in pairs], latency_ratio),
    }
    # The live release answered every input that was shown.
    return Evidence(canary, {Metric.ERRORS: [Sums(0, inputs) for inputs in seen]})
