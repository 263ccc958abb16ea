"""One target's file as the subject of a measurement: which tensors it still has, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import onnx

from compiler.graph.index import GraphIndex
from compiler.graph.interface import Interface
from compiler.lower import LOWERINGS, traced_tflite
from compiler.lower.tflite import Place
from compiler.quantize.plan import Plan
from compiler.sqnr.inside_litert import LiteProbe
from compiler.sqnr.inside_onnx import OnnxProbe, is_quantized, source_of
from compiler.sqnr.layers import Layer, layers_of, tensors_to_read
from compiler.sqnr.port import Probe
from compiler.targets import TargetProfile

# They hold the very integers of the plan's weights.
PLANNED = frozenset({"int8", "int8-fp16", "int16", "dynamic", "int8-dynamic"})


@dataclass(frozen=True)
class Subject:
    """A shipped file, and the float graph and the plan that it was made from."""

    profile: TargetProfile
    file: bytes
    normal: onnx.ModelProto
    plan: Plan
    interface: Interface

    @property
    def plan_of_weights(self) -> Plan | None:
        """Return the plan where the file's weights follow it."""
        return self.plan if LOWERINGS[self.profile.lowering].precision in PLANNED else None

    def layers(self, index: GraphIndex) -> list[Layer]:
        """Return the layers of the normal-form graph whose results the file still has."""
        if self.profile.runtime == "litert":
            return layers_of(index, [name for name in tensors_to_read(index) if name in self._places])
        lowered = GraphIndex(onnx.load_from_string(self.file))
        wanted = tensors_to_read(index, lambda name: is_quantized(lowered, name))
        return layers_of(index, [name for name in wanted if source_of(lowered, name) is not None])

    def probe(self, wanted: Sequence[str]) -> Probe:
        """Open the file so that tensors can be read; raise RunError."""
        if self.profile.runtime == "onnx":
            return OnnxProbe(self.profile.name, self.file, self.profile.session_options, wanted)
        places = {name: self._places[name] for name in wanted if name in self._places}
        return LiteProbe(self.profile.name, self.file, self.interface, places)

    @cached_property
    def _places(self) -> Mapping[str, Place]:
        file, places = traced_tflite(self.profile, self.normal, self.plan)
        assert file == self.file
        return places
