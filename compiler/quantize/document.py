"""The plan as a file for people and tools: every range with the integers that follow from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from compiler.quantize.plan import Activation, Plan, Weights


def plan_json(plan: Plan, scores: Mapping[str, float]) -> bytes:
    """Return plan.json: sorted keys, two spaces; `scores` in dB say how the calibrator was chosen, and are empty where it was asked for.

    An activation's `asymmetric` parameters are those of TFLite and ONNX Runtime, its `symmetric_scale` is TensorRT's.
    """
    document: dict[str, Any] = plan.model_dump(mode="json")
    document["activations"] = {name: _described(activation) for name, activation in plan.activations.items()}
    document["weights"] = {name: _rounded(weights) for name, weights in plan.weights.items()}
    document["calibrator_scores_db"] = {name: round(score, 3) for name, score in scores.items()}
    return (json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def _described(activation: Activation) -> dict[str, Any]:
    found = {"asymmetric": activation.asymmetric().model_dump(), "symmetric_scale": activation.symmetric().scale}
    return {**activation.model_dump(mode="json"), **found}


def _rounded(weights: Weights) -> dict[str, Any]:
    """Say how a constant was rounded; the integers themselves are in every artifact."""
    found = weights.model_dump(mode="json", exclude={"upward"})
    return {**found, "rounding": "nearest" if weights.upward is None else "for the layer"}
