"""What one compilation is asked to do: the options of the command, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compiler.errors import OptionError
from contracts.postprocess import Boxes, Classes
from contracts.preprocess import Preprocess

MAX_NAME_CHARACTERS = 64


@dataclass(frozen=True)
class Recipe:
    """One model, its samples, its targets and its budget; `max_drop` is in the metric's unit, for a share 0.01 being one point.

    Samples are named by an .npz file, a folder of images, or `module:callable`. With `folds` both places are the same one: the gate judges
    each sample by a plan that never saw it, and what ships is calibrated on all of them.
    """

    model: Path
    calibration: str
    evaluation: str
    output: Path
    targets: tuple[str, ...]
    name: str
    release: int
    preprocess: Preprocess
    postprocess: Classes | Boxes | None
    metric: str
    # What the float model is said to reach; checked before anything is compiled.
    declared: float | None
    max_drop: float
    require_proof: bool
    labels: Path | None
    calibrator: str
    folds: int | None = None
    # By input name: sizes that the model's file leaves open.
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    # The fleet's table of costs; it is told on the page, and changes nothing of the release.
    costs: Path | None = None


def model_name(given: str | None, file: Path) -> str:
    """Return the release's model name: the one given, or the file's stem in the alphabet of names; raise OptionError."""
    stem = file.name.rpartition(":")[2] if ":" in file.name else file.stem  # of module:callable the function's name
    of_file = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")[:MAX_NAME_CHARACTERS]
    name = of_file if given is None else given
    if not re.fullmatch(rf"[a-z0-9][a-z0-9._-]{{0,{MAX_NAME_CHARACTERS - 1}}}", name):
        expected = f"1 to {MAX_NAME_CHARACTERS} of a-z, 0-9, dot, dash and underscore, a letter or digit first"
        raise OptionError("--name", "model name", expected, repr(name))
    return name
