"""The forms that one graph can take as a `.tflite` file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TflitePrecision = Literal["int8", "int16", "float32", "float16", "dynamic"]


@dataclass(frozen=True)
class TfliteForm:
    """What numbers the file computes with, and what it takes and gives.

    `int8`: weights and activations int8. `int16`: weights int8, activations int16. `float16`: weights stored as float16, computed in
    float32. `dynamic`: weights stored as int8, activations float32. `io` matters to the integer forms alone: `int8` means that the
    file's inputs and outputs are integers, of as many bits as its activations; the others always take and give float32.
    """

    precision: TflitePrecision = "int8"
    io: Literal["int8", "float"] = "int8"
    # Keep to operators that an Edge TPU runs, where they say the same.
    for_edge_tpu: bool = False
    # Whether operators without an integer form may compute in float between the others; where not, the first of them is refused.
    has_islands: bool = False
