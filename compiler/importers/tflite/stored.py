"""Tells the integers of a float model that are only looked up from those of an integer model, which are computed."""

from __future__ import annotations

from compiler.errors import ModelError
from compiler.importers.tflite.flatbuffer import FlatModel, Operator

# They give integers that were stored, unchanged: with the same scale they stand for the same real numbers.
CHOOSING = frozenset(
    {
        "CONCATENATION",
        "EMBEDDING_LOOKUP",
        "EXPAND_DIMS",
        "GATHER",
        "GATHER_ND",
        "MAX_POOL_2D",
        "PACK",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RESHAPE",
        "SLICE",
        "SPLIT",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TRANSPOSE",
        "UNPACK",
    }
)


def check_is_float(flat: FlatModel, place: str) -> None:
    """Raise ModelError for a model that computes with integers; one whose weights alone are stored as such is a float model."""
    chosen: set[int] = set()
    for operator in flat.operators:
        if operator.name in CHOOSING and _keeps_scale(operator, flat, chosen):
            chosen |= set(operator.outputs)
    used = {index for operator in flat.operators for index in (*operator.inputs, *operator.outputs)}
    for index, tensor in enumerate(flat.tensors):
        is_integer = tensor.data is None and tensor.quantization is not None and tensor.datatype != "FLOAT32"
        if is_integer and index in used and (index not in chosen or index in flat.outputs):
            found = (
                f"tensor {tensor.name} of {tensor.datatype} with a scale: quantizing it again would lose accuracy; "
                "give the float model (inspect, bench and compare take this one)"
            )
            raise ModelError(place, "graph", "a float model, as it was trained", found)


def _keeps_scale(operator: Operator, flat: FlatModel, chosen: set[int]) -> bool:
    result = flat.tensors[operator.outputs[0]].quantization
    scaled = [index for index in operator.inputs if index >= 0 and flat.tensors[index].quantization is not None]
    if result is None or not scaled:
        return False
    is_stored = all(index in chosen or flat.tensors[index].data is not None for index in scaled)
    return is_stored and all(flat.tensors[index].quantization == result for index in scaled)
