"""Measures each layer of a shipped file against the float model on a few samples, and explains the worst."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import onnx

from compiler.evaluate.port import Feed
from compiler.graph.index import GraphIndex
from compiler.sqnr.explain import Explained, Witness
from compiler.sqnr.inside_float import FloatInside
from compiler.sqnr.layers import Layer, channel_axis, tensors_to_read
from compiler.sqnr.origins import Bench, Origins
from compiler.sqnr.powers import Powers
from compiler.sqnr.subject import Subject

MAX_SAMPLES = 32
# Values that are compared in all, and bytes of one run's tensors that are held at a time: larger models get fewer samples and more runs.
MAX_VALUES = 1 << 26
MAX_HELD_BYTES = 128 << 20
WORST = 3


@dataclass(frozen=True)
class LayerNoise:
    """One layer; the worst ones are explained."""

    name: str
    operator: str
    sqnr_db: float
    origins: Origins | None
    explained: Explained | None = None


@dataclass(frozen=True)
class Measured:
    """Every layer in the graph's order, on how many samples, and what computed them."""

    layers: tuple[LayerNoise, ...]
    samples: int
    measured_by: str


def sample_count(model: onnx.ModelProto) -> int:
    """Return on how many samples a graph is measured: fewer of a large one."""
    index = GraphIndex(model)
    values = sum(prod(index.shape(name) or ()) for name in tensors_to_read(index))
    return min(MAX_SAMPLES, max(2, MAX_VALUES // max(values, 1)))


def measure(subject: Subject, feeds: Sequence[Feed], max_held_bytes: int = MAX_HELD_BYTES) -> Measured:
    """Return what quantizing left of each layer's signal; raise RunError where a runtime refuses."""
    index = GraphIndex(subject.normal)
    layers = subject.layers(index)
    powers: dict[str, Powers] = {}
    origins: dict[str, Origins | None] = {}
    versions: dict[str, None] = {}
    for group in _groups(index, layers, max_held_bytes):
        benches = [Bench(layer, index, subject.plan_of_weights) for layer in group]
        versions[_run(subject, index, benches, feeds, powers)] = None
        origins |= {bench.layer.tensor: bench.origins(powers[bench.layer.tensor]) for bench in benches}
    worst = sorted(layers, key=lambda layer: powers[layer.tensor].sqnr_db)[:WORST]
    witness = Witness(index, subject.plan, {layer.tensor: layer for layer in layers}, powers, origins)
    explained = {layer.tensor: witness.explain(layer) for layer in worst}
    noises = (_noise(layer, powers, origins, explained) for layer in layers)
    return Measured(tuple(noises), len(feeds), ", ".join(versions))


def _noise(
    layer: Layer, powers: Mapping[str, Powers], origins: Mapping[str, Origins | None], explained: Mapping[str, Explained]
) -> LayerNoise:
    name = layer.tensor
    return LayerNoise(layer.name, layer.operator, round(powers[name].sqnr_db, 2), origins[name], explained.get(name))


def _run(subject: Subject, index: GraphIndex, benches: Sequence[Bench], feeds: Sequence[Feed], powers: dict[str, Powers]) -> str:
    """Run all samples through both models and each layer alone; add to `powers`, and return what computed the shipped file."""
    wanted = list(dict.fromkeys(name for bench in benches for name in (bench.layer.tensor, *bench.layer.inputs)))
    inside, probe = FloatInside(index, wanted), subject.probe(wanted)
    fresh = {name: Powers(channel_axis(index, name)) for name in wanted if name not in powers}
    for feed in feeds:
        expected = inside.read(feed)
        shipped = dict(expected)  # an input that the file takes as it is
        for name, reading in probe.read(feed):
            shipped[name] = reading.values
            if name in fresh:
                fresh[name].add(expected[name], reading)
        for bench in benches:
            bench.add(expected, shipped)
    powers.update((name, found) for name, found in fresh.items() if found.values)
    return probe.version


def _groups(index: GraphIndex, layers: Sequence[Layer], max_held_bytes: int) -> Iterator[list[Layer]]:
    """Part the layers so that what one run of each model holds of them fits in memory."""
    group: list[Layer] = []
    held: set[str] = set()
    for layer in layers:
        both = held | {layer.tensor, *layer.inputs}
        if group and sum(2 * 4 * prod(index.shape(name) or ()) for name in both) > max_held_bytes:
            yield group
            group, both = [], {layer.tensor, *layer.inputs}
        group.append(layer)
        held = both
    if group:
        yield group
