"""Recognises an autoencoder: a model that gives back what it takes through a bottleneck, so that anomalies come back wrong."""

from __future__ import annotations

from math import prod

from compiler.graph.index import GraphIndex

# At its narrowest an autoencoder holds at most this share of its input's numbers.
MAX_SHARE = 0.25


def is_autoencoder(index: GraphIndex) -> bool:
    """Say whether output and input have one shape, and somewhere on the way all that later nodes will read is far less.

    A network that restores images keeps skip connections open past its narrowest tensor, so that it is none.
    """
    graph = index.model.graph
    shapes = [index.shape(value.name) for value in (*graph.input, *graph.output)]
    if len(shapes) != 2 or shapes[0] is None or shapes[0] != shapes[1]:
        return False
    return _least_held(index) <= MAX_SHARE * prod(shapes[0])


def _least_held(index: GraphIndex) -> int:
    """Return how many numbers are kept at the point between two nodes where they are fewest."""
    nodes = list(index.model.graph.node)
    ends = {name: len(nodes) for name in index.outputs}
    for number, node in enumerate(nodes):
        ends |= {name: max(number, ends.get(name, 0)) for name in node.input if name not in index.constants}
    held = {value.name for value in index.model.graph.input}
    least = [sum(prod(index.shape(name) or ()) for name in held)]
    for number, node in enumerate(nodes):
        held = {name for name in held | set(node.output) if ends.get(name, -1) > number}
        least.append(sum(prod(index.shape(name) or ()) for name in held))
    return min(least)
