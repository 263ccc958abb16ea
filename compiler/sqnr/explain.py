"""Says in words why a layer is noisy and what to try next, each sentence from measured evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compiler.graph.index import GraphIndex
from compiler.quantize.plan import Plan
from compiler.quantize.planner import WEIGHTED, output_axis
from compiler.quantize.ties import FIXED, JOINING
from compiler.sqnr.layers import MOVERS, Layer
from compiler.sqnr.origins import Origins
from compiler.sqnr.port import Steps
from compiler.sqnr.powers import Powers

# From here on noise is one part in ten thousand of the energy, which no answer depends on.
GOOD_DB = 40.0
# A channel that reaches this many times as far as the usual one sets the range for all; a value this many times the root mean square
# sets it for all values.
OUTLIER_CHANNEL, OUTLIER_VALUE = 6.0, 12.0
# Below this share of its range a tensor uses too little of it.
USED_SHARE = 0.6
LOST_POWER_DB = 6.0
SUMS = frozenset({"Add", "Sub", "Sum"})
INPUT_ADVICE = "inputs that fill their range: check --preprocess, and calibration samples like those of the field"
MORE_BITS = "more bits: 16-bit activations where the target has the lowering tflite-int16, or floats"


@dataclass(frozen=True)
class Explained:
    """Why, and what to try next; neither ends with a full stop."""

    reason: str
    advice: str


@dataclass(frozen=True)
class Witness:
    """All that was measured of one target; everything by tensor."""

    index: GraphIndex
    plan: Plan
    layers: Mapping[str, Layer]
    powers: Mapping[str, Powers]
    origins: Mapping[str, Origins | None]

    def explain(self, layer: Layer) -> Explained:
        """Name the largest origin of a layer's noise, what is behind it, and what to try."""
        if math.isinf(self.powers[layer.tensor].noise):
            return Explained(
                "some of its values are infinite or no numbers: half precision ends at 65504", "int8, or weights that are scaled down"
            )
        if self.origins[layer.tensor] is None:
            return Explained("the integers meet the float model exactly", "nothing: there is no noise")
        found = self._explain(layer)
        is_good = self.powers[layer.tensor].sqnr_db >= GOOD_DB
        return Explained(found.reason, "nothing: this much noise changes no answer") if is_good else found

    def _explain(self, layer: Layer) -> Explained:
        origins, powers = self.origins[layer.tensor], self.powers[layer.tensor]
        assert origins is not None
        share = f"{100 * origins.share(origins.largest):.0f} % of its noise"
        match origins.largest:
            case "inputs":
                return self._inherited(layer, powers, share)
            case "weights":
                return self._weights(layer, powers, share)
            case "rounding":
                return self._rounding(layer, powers, share)
            case "arithmetic":
                return Explained(f"{share} is the arithmetic of its own kernel", "floats for this layer, where it matters")
        return self._clipping(layer, powers, share)

    def _inherited(self, layer: Layer, powers: Powers, share: str) -> Explained:
        source = self._noisiest_input(layer)
        if source is None:
            return Explained(f"{share} comes in with its inputs", MORE_BITS)
        came = f"{share} comes in with what it reads from {self._named(source)}, {self.powers[source].sqnr_db:.1f} dB"
        known = [self.powers[name] for name in layer.inputs if name in self.powers]
        # Powers of one value, so that neither a broadcast nor a pool counts as a loss.
        before = sum(found.signal / found.values for found in known)
        lost = 10 * math.log10(max(before, 1e-30) / max(powers.signal / powers.values, 1e-30))
        if layer.main.op_type in SUMS and self.powers[source].sqnr_db - powers.sqnr_db > LOST_POWER_DB < lost:
            came += f", and {lost:.0f} dB of signal power cancel out here while the noise stays"
            return Explained(came, f"a network whose {layer.main.op_type} does not cancel what was just computed, or {MORE_BITS}")
        root = self._root(source)
        if root not in self.layers:
            return Explained(_followed(came, source, root, self._named(root)), INPUT_ADVICE)
        if self.origins[root] is None:
            return Explained(_followed(came, source, root, self._named(root)), MORE_BITS)
        first = self._explain(self.layers[root])
        return Explained(f"{_followed(came, source, root, self._named(root))}, where {first.reason}", first.advice)

    def _root(self, tensor: str) -> str:
        """Follow noise back to where most of it is not inherited: a layer's tensor, or an input of the model."""
        while (layer := self.layers.get(tensor)) is not None:
            origins, before = self.origins[tensor], self._noisiest_input(layer)
            if origins is None or origins.largest != "inputs" or before is None:
                break
            tensor = before
        return tensor

    def _noisiest_input(self, layer: Layer) -> str | None:
        known = [name for name in layer.inputs if name in self.powers]
        return min(known, key=lambda name: self.powers[name].sqnr_db) if known else None

    def _named(self, tensor: str) -> str:
        layer = self.layers.get(tensor)
        return f"{layer.name} ({layer.operator})" if layer is not None else f"the model's input {tensor}"

    def _weights(self, layer: Layer, powers: Powers, share: str) -> Explained:
        ratio, channel = _widest_kernel(layer, self.index)
        made = f"{share} is the rounding of its weights"
        if ratio > OUTLIER_CHANNEL**2:
            made += f"; in output channel {channel} one weight is {ratio:.0f} times the usual one and sets the step for all of them"
            return Explained(made, "clip or retrain that channel's largest weights (weight decay), or floats for this layer")
        dead = _dead_channels(powers)
        if dead:
            made += f"; {dead}"
        return Explained(made, "fine-tuning with rounded weights, or floats for this layer")

    def _rounding(self, layer: Layer, powers: Powers, share: str) -> Explained:
        steps = powers.steps
        assert steps is not None  # floats are not rounded
        made = f"{share} is rounding to steps of {steps.step:.3g}"
        unused = self._unused(layer, powers, steps)
        if unused is not None:
            return Explained(f"{made}: {unused.reason}", unused.advice)
        ratio, channel = _widest_channel(powers)
        if ratio > OUTLIER_CHANNEL:
            wide = f"channel {channel} reaches {ratio:.0f} times as far as the usual one and sets the steps for all"
            return Explained(f"{made}: {wide}", f"scale that channel down in the layer before and up in the next, or {MORE_BITS}")
        peak = max(-powers.low, powers.high) / math.sqrt(powers.signal / powers.values) if powers.signal else 0.0
        if peak > OUTLIER_VALUE:
            far = f"its largest value is {peak:.0f} times the root mean square, so that most values fall on few steps"
            return Explained(f"{made}: {far}", f"--calibrator percentile-99.9 or mse, or {MORE_BITS}")
        dead = _dead_channels(powers)
        return Explained(f"{made}{f'; {dead}' if dead else ''}", MORE_BITS)

    def _unused(self, layer: Layer, powers: Powers, steps: Steps) -> Explained | None:
        """Say why a tensor takes but a part of what its steps cover, where it does."""
        if abs(steps.low + steps.high) <= 2 * steps.step and min(-powers.low, powers.high) < max(-powers.low, powers.high) / 2:
            side = f"this target's steps reach as far on both sides of zero, its values only from {powers.low:.3g} to {powers.high:.3g}"
            return Explained(side, "fp16 for this target, or a target whose steps have a zero point")
        own, room, last = powers.high - powers.low, steps.high - steps.low, layer.nodes[-1].op_type
        if own >= USED_SHARE * room:
            return None
        used = f"its values span {own:.3g} of the {room:.3g} that the steps cover"
        if last in FIXED:
            return Explained(f"{last} has fixed steps, and {used}", f"end the model before {last}, or more bits")
        if joined := self._joined_with(layer.tensor):
            return Explained(f"{used}, for it shares its scale with what {joined} joins", f"keep what {joined} joins alike in range")
        return Explained(used, "calibration samples like those of the evaluation, or --calibrator mse")

    def _clipping(self, layer: Layer, powers: Powers, share: str) -> Explained:
        steps = powers.steps
        assert steps is not None
        beyond = f"{100 * powers.clipped / powers.values:.2g} % of its values lie beyond {steps.low:.3g} to {steps.high:.3g}"
        planned = self.plan.activations.get(layer.tensor)
        reason = f"{share} is clipping: {beyond}, and reach {powers.low:.3g} to {powers.high:.3g}"
        if planned is not None and planned.calibrator not in ("minmax", "fixed"):
            cut = f"{reason}; {planned.calibrator} gave them up for finer steps"
            return Explained(cut, "--calibrator minmax keeps them, at the cost of coarser steps for all others")
        return Explained(reason, "calibration samples that reach as far as those of the field")

    def _joined_with(self, tensor: str) -> str | None:
        """Return the node that joins a tensor with others under one range, if there is one, directly or behind what only moves values."""
        waiting = [tensor]
        while waiting:
            for use in self.index.uses.get(waiting.pop(), []):
                if use.node.op_type in JOINING:
                    return str(use.node.name)
                if use.node.op_type in MOVERS:
                    waiting += use.node.output
        return None


def _followed(came: str, source: str, root: str, name: str) -> str:
    return came if source == root else f"{came}; followed back, it begins at {name}"


def _widest_channel(powers: Powers) -> tuple[float, int]:
    """Return how many times as far as the median one the widest channel reaches, and its number; dead ones do not count."""
    alive = powers.reach[powers.reach > 0]
    if alive.size < 2:
        return 1.0, 0
    return float(powers.reach.max() / np.median(alive)), int(powers.reach.argmax())


def _dead_channels(powers: Powers) -> str | None:
    """Say how many channels are too small for a single step."""
    if powers.steps is None or powers.reach.size < 2:
        return None
    tiny = int(((powers.reach > 0) & (powers.reach < powers.steps.step / 2)).sum())
    return f"{tiny} of {powers.reach.size} channels stay below half a step and become zero" if tiny else None


def _widest_kernel(layer: Layer, index: GraphIndex) -> tuple[float, int]:
    """Return for the output channel whose largest weight is furthest above its own median magnitude that ratio and its number."""
    weights = index.constants.get(layer.main.input[1]) if layer.main.op_type in WEIGHTED else None
    if weights is None or weights.ndim < 2:
        return 1.0, 0
    axis = output_axis(layer.main, index)
    rows = np.abs(np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1))
    ratios = rows.max(axis=1) / np.maximum(np.median(rows, axis=1), 1e-12)
    ratios[rows.max(axis=1) == 0] = 0
    return float(ratios.max()), int(ratios.argmax())
