"""Writes an Einsum of two tensors as the matrix product that it is, which has integer kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, shape_inference

from compiler.graph.index import GraphIndex, Shape, attribute, replace_nodes, set_constant
from compiler.graph.passes.port import Pass


@dataclass(frozen=True)
class Product:
    """The letters of an equation by what becomes of them; `left` and `right` are those of one operand alone."""

    operands: tuple[str, str]
    result: str
    batch: str
    left: str
    right: str
    summed: str


def apply(model: onnx.ModelProto) -> None:
    """Rewrite each Einsum whose letters stand once in an operand, and are summed only where both operands have them."""
    if not any(node.op_type == "Einsum" for node in model.graph.node):
        return
    index = GraphIndex(shape_inference.infer_shapes(model, data_prop=True))
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        product = _product_of(node)
        sizes = None if product is None else _sizes_of(product, [index.shape(name) for name in node.input])
        if product is None or sizes is None:
            nodes.append(node)
        else:
            nodes += _as_matmul(model, node, product, sizes)
    replace_nodes(model, nodes)


def _product_of(node: onnx.NodeProto) -> Product | None:
    if node.op_type != "Einsum" or node.domain not in {"", "ai.onnx"} or len(node.input) != 2:
        return None
    equation = attribute(node, "equation", b"").decode().replace(" ", "")
    sources, arrow, result = equation.partition("->")
    first, _, second = sources.partition(",")
    is_plain = bool(arrow) and all(part.isalpha() or not part for part in (first, second, result))
    if not is_plain or any(len(set(part)) != len(part) for part in (first, second, result)):
        return None
    both = [letter for letter in first if letter in second]
    alone = [letter for letter in first + second if letter not in both]
    if any(letter not in result for letter in alone):
        return None
    return Product(
        operands=(first, second),
        result=result,
        batch="".join(letter for letter in both if letter in result),
        left="".join(letter for letter in first if letter not in both),
        right="".join(letter for letter in second if letter not in both),
        summed="".join(letter for letter in both if letter not in result),
    )


def _sizes_of(product: Product, shapes: Sequence[Shape | None]) -> dict[str, int] | None:
    """Return each letter's size; None where one is unknown, or where an axis of length 1 stands for a longer one."""
    sizes: dict[str, int] = {}
    for letters, shape in zip(product.operands, shapes, strict=True):
        if shape is None or len(shape) != len(letters):
            return None
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                return None
    return sizes


def _as_matmul(model: onnx.ModelProto, node: onnx.NodeProto, product: Product, sizes: Mapping[str, int]) -> list[onnx.NodeProto]:
    name, batch = node.output[0], [sizes[letter] for letter in product.batch]
    rows, columns, inner = (math.prod(sizes[letter] for letter in part) for part in (product.left, product.right, product.summed))
    nodes: list[onnx.NodeProto] = []

    def moved(source: str, before: str, after: str, made: str) -> str:
        if before == after:
            return source
        perm = [before.index(letter) for letter in after]
        nodes.append(helper.make_node("Transpose", [source], [made], name=made, perm=perm))
        return made

    def shaped(source: str, shape: list[int], made: str) -> str:
        set_constant(model, f"{made}/shape", np.asarray(shape, np.int64))
        nodes.append(helper.make_node("Reshape", [source, f"{made}/shape"], [made], name=made))
        return made

    orders = (product.batch + product.left + product.summed, product.batch + product.summed + product.right)
    wanted = ([*batch, rows, inner], [*batch, inner, columns])
    operands = []
    for place in (0, 1):
        turned = moved(node.input[place], product.operands[place], orders[place], f"{name}/operand{place}")
        operands.append(shaped(turned, wanted[place], f"{name}/matrix{place}"))
    nodes.append(helper.make_node("MatMul", operands, [f"{name}/product"], name=node.name))
    letters = product.batch + product.left + product.right
    last = name if letters == product.result else f"{name}/unfolded"
    shaped(f"{name}/product", [sizes[letter] for letter in letters], last)
    moved(last, letters, product.result, name)
    return nodes


PLAIN_EINSUM = Pass("sums of products as matrix products", apply)
