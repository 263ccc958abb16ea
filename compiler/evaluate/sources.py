"""Chooses how samples are read: from an .npz file, from a folder of images, or from the user's own Python."""

from __future__ import annotations

from pathlib import Path

from compiler.evaluate.folder import FolderSource
from compiler.evaluate.generator import GeneratorSource, load_function
from compiler.evaluate.npz import NpzSource
from compiler.evaluate.port import Source
from compiler.graph.interface import Interface
from contracts.preprocess import Preprocess


def open_source(option: str, place: str, interface: Interface, preprocess: Preprocess, class_names: tuple[str, ...]) -> Source:
    """Return the source that `place` names; raise OptionError when it is Python that cannot be imported."""
    path = Path(place)
    inputs = tuple(spec.name for spec in interface.inputs)
    if path.is_dir():
        return FolderSource(path, inputs[0], _image_channels(interface, preprocess), class_names)
    if ":" in place and not path.exists():
        return GeneratorSource(place, load_function(option, place), inputs)
    return NpzSource(path, inputs)


def _image_channels(interface: Interface, preprocess: Preprocess) -> int:
    shape = interface.input.shape
    has_channels_first = (preprocess.layout or preprocess.source) == "CHW"
    return 1 if len(shape) == 4 and shape[1 if has_channels_first else 3] == 1 else 3
