"""Reads the inside of a `.tflite` file as LiteRT computes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from compiler.evaluate.litert import LiteRunner
from compiler.evaluate.port import Feed
from compiler.graph.interface import Interface
from compiler.lower.tflite import Place
from compiler.sqnr.port import Reading, Steps
from contracts.affine import real


class LiteProbe:
    """The file on LiteRT's own integer kernels, every tensor kept: XNNPACK, which differs from them by rounding alone, keeps none."""

    def __init__(self, name: str, model: bytes, interface: Interface, places: Mapping[str, Place]) -> None:
        self._runner = LiteRunner(name, model, interface, with_xnnpack=False, keep_all=True)
        self._places = places
        self.version = f"{self._runner.version} without XNNPACK"

    def read(self, feed: Feed) -> Iterator[tuple[str, Reading]]:
        """Run one sample and yield each tensor; raise RunError."""
        self._runner.infer(feed)
        for name, place in self._places.items():
            stored, scale, zero_point = self._runner.tensor(place.index)
            steps = Steps.of(stored.dtype, scale, zero_point) if stored.dtype.kind == "i" and scale else None
            values = real(stored, scale, zero_point) if steps else stored
            yield name, Reading(place.restored(values.astype(np.float32, copy=False)), steps)
