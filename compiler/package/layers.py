"""The part of report.json that tells of single layers: how noisy each is, where its noise comes from, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from compiler.package.section import Section
from compiler.sqnr.measure import LayerNoise


class NoiseOrigins(Section):
    """Shares of a layer's noise, together 1 but for rounding: what its inputs bring, its weights, its steps, their ends, its kernel."""

    inputs: float
    weights: float
    rounding: float
    clipping: float
    arithmetic: float


IN_SHORT = {
    "inputs": "comes in with its inputs",
    "weights": "is the rounding of its weights",
    "rounding": "is the rounding of its result",
    "clipping": "is clipping",
    "arithmetic": "is its kernel's own arithmetic",
}


class LayerSqnr(Section):
    """How far a layer's signal stands above what quantizing added to it, measured on the shipped file."""

    layer: str
    sqnr_db: float
    operator: str | None = None
    # Null where there is no noise.
    origins: NoiseOrigins | None = None
    # Of the worst layers: why, and what to try next.
    reason: str | None = None
    advice: str | None = None


def layer_sqnr(found: LayerNoise) -> LayerSqnr:
    """Write down what was measured of a layer."""
    told = found.explained
    return LayerSqnr(
        layer=found.name,
        sqnr_db=found.sqnr_db,
        operator=found.operator,
        origins=NoiseOrigins(**asdict(found.origins)) if found.origins else None,
        reason=told.reason if told else None,
        advice=told.advice if told else None,
    )


def worst_layers(layers: Sequence[LayerSqnr]) -> list[LayerSqnr]:
    """Return the layers that were explained, the worst first."""
    return sorted((layer for layer in layers if layer.reason), key=lambda layer: layer.sqnr_db)


def in_short(layer: LayerSqnr) -> str:
    """Say in one line how noisy a layer is, and where most of its noise comes from."""
    told = f"{layer.layer} ({layer.operator}), {layer.sqnr_db:.1f} dB"
    if layer.origins is None:
        return told
    shares = layer.origins.model_dump()
    largest = max(shares, key=lambda name: shares[name])
    return f"{told}: {100 * shares[largest]:.0f} % of its noise {IN_SHORT[largest]}"
