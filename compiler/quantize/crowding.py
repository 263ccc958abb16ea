"""Finds outputs that join tensors of very different ranges: in one int8 tensor the small ones keep few of their bits."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

import onnx

from compiler.graph.index import GraphIndex
from compiler.quantize.plan import Activation, Plan
from compiler.quantize.ties import Ties

# Boxes in pixels beside scores are the usual case; two bits lost are borne without a word, as elsewhere in the plan.
MAX_LOST_BITS = 2.0
BITS = 8


def crowded(model: onnx.ModelProto, plan: Plan) -> tuple[str, ...]:
    """Return a remark for people on every part that an output leaves too few steps.

    TFLite joins integers of one scale alone, and one tensor cannot have two: nothing inside the file can help.
    """
    ties = Ties(GraphIndex(model))
    joins = {node.output[0]: node for node in ties.joins if node.op_type == "Concat"}
    return tuple(
        remark
        for output in model.graph.output
        if (join := joins.get(ties.source_of.get(output.name, ""))) is not None
        for remark in _remarks(output.name, join, plan)
    )


def _remarks(output: str, join: onnx.NodeProto, plan: Plan) -> Iterator[str]:
    whole = plan.activations[output]
    for name in join.input:
        part = plan.activations.get(name)
        if part is None:
            continue
        lost = log2(_span(whole) / _span(part))
        if lost > MAX_LOST_BITS:
            yield (
                f"int8 output {output} ({whole.low:.4g} to {whole.high:.4g}) leaves {name} ({part.low:.4g} to {part.high:.4g}) "
                f"{max(BITS - lost, 0):.1f} of {BITS} bits, as TFLite joins tensors in one scale: let the model give it as an output of "
                "its own, or use a target that is served by ONNX Runtime, which joins them as floats"
            )


def _span(found: Activation) -> float:
    return max(found.high, 0.0) - min(found.low, 0.0)
