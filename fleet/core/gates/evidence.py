"""What is known of devices on either side of a comparison: sums, one entry for each device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from fleet.core.gates.rates import Values


class Metric(str, Enum):
    """What may get worse; each is a rate: a device's total over its weight."""

    ERRORS = "errors"  # failed requests over requests
    LATENCY = "latency"  # requests slower than the limit over requests; `latency` makes them
    RESTARTS = "restarts"  # worker restarts over hours
    TEMPERATURE = "temperature"  # degrees Celsius, summed over readings
    DISAGREEMENT = "disagreement"  # answers that differ from the live model's over answers compared
    CONFIDENCE = "confidence"  # what the winning score lost against the live model's, summed over answers compared
    DRIFT = "drift"  # population stability index, times answers


class Sums(NamedTuple):
    """One device's part: what it did since the comparison began, and in a span before, when that is known."""

    total: float
    weight: float
    total_before: float = 0.0
    # Zero: nothing is known of before.
    weight_before: float = 0.0


# One arm's devices: rows of `Sums`, or the same as an array of shape [devices, 4].
Arm: TypeAlias = "Sequence[Sums] | Values"


@dataclass(frozen=True)
class Evidence:
    """Canary devices run the release; those of the control run what it replaces, at the same time."""

    canary: Mapping[Metric, Arm]
    control: Mapping[Metric, Arm]
