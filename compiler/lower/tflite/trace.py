"""Finds the model's own tensors in a `.tflite` file: which tensor of the file holds one, and in which order of axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compiler.lower.tflite.ir import Shape
from compiler.lower.tflite.store import Store
from compiler.lower.tflite.stored import StoredGraph
from compiler.lower.tflite.view import Order, View, as_is, permutation
from compiler.lower.tflite.writer import tensors_of


@dataclass(frozen=True)
class Place:
    """Tensor number `index` of the file's only subgraph; its shape there, and which axis of the model each of its axes is."""

    index: int
    shape: Shape
    order: Order

    def restored(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the file's values in the model's order of axes."""
        restored: npt.NDArray[np.float32] = values.reshape(self.shape).transpose(permutation(self.order, as_is(len(self.order))))
        return restored


def places_of(views: Mapping[str, View], store: Store, graph: StoredGraph) -> dict[str, Place]:
    """Return a place for every tensor of the model that the file still computes; what was fused away or folded has none."""
    numbers = {tensor: number for number, tensor in enumerate(tensors_of(graph))}
    found = {}
    for name, view in views.items():
        home = store.home(view.tensor)
        if home in numbers and view.fold is None:
            found[name] = Place(numbers[home], view.tensor.shape, view.order)
    return found
