"""Computes small parts of a graph that depend on constants alone, by ONNX's own reference."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = npt.NDArray[Any]
# What is written out may be twice as large as what it is made of, and any mask or table up to this: a file should not grow by it.
MAX_ELEMENTS = 1 << 20
# What they give is not a matter of their inputs.
RANDOM = frozenset({"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})
# The reference raises whatever numpy does where a node's inputs do not fit it.
_FAULTS = (ArithmeticError, AttributeError, AssertionError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)


def is_repeatable(node: onnx.NodeProto) -> bool:
    """Say whether a node always gives the same for the same inputs, and holds no graph of its own."""
    has_body = any(found.type in {AttributeProto.GRAPH, AttributeProto.GRAPHS} for found in node.attribute)
    return node.domain in {"", "ai.onnx"} and node.op_type not in RANDOM and not has_body


def computed(node: onnx.NodeProto, inputs: Mapping[str, Array], opsets: list[onnx.OperatorSetIdProto]) -> list[Array] | None:
    """Return one node's outputs for constant inputs, or None where the reference cannot tell them."""
    known = {name: inputs[name] for name in node.input if name}
    limit = max(MAX_ELEMENTS, 2 * sum(values.size for values in known.values()))
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    tensors = [numpy_helper.from_array(np.asarray(values), name) for name, values in known.items()]
    body = helper.make_graph([node], "constants", [], outputs, tensors)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = ReferenceEvaluator(helper.make_model(body, opset_imports=opsets)).run(None, {})
    except _FAULTS:
        return None
    arrays = [np.asarray(values) for values in found]
    is_plain = all(values.dtype.kind in "biuf" and values.size <= limit for values in arrays)
    return arrays if is_plain else None
