"""Takes samples from the user's own Python: `module:callable`, which yields (sample, label) or samples alone."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from compiler.errors import DataError, OptionError
from compiler.evaluate.port import Example, Identity

SAMPLE = "(sample, label) or a sample; a sample is an array without its batch, or a dict of arrays by input name"


class GeneratorSource:
    """What a callable yields each time it is called; it must yield the same each time."""

    def __init__(self, name: str, function: Callable[[], Iterable[Any]], inputs: tuple[str, ...]) -> None:
        self.place = name
        self._function = function
        self._inputs = inputs
        self._identity: Identity | None = None

    @property
    def content(self) -> None:
        """Only calling it tells what it yields."""

    def identity(self) -> Identity:
        """Name what was yielded."""
        if self._identity is None:
            for _ in self.examples():
                pass
        assert self._identity is not None
        return self._identity

    def examples(self) -> Iterator[Example]:
        """Yield its samples; raise DataError for something else, or for other samples than the first time."""
        digest, size = hashlib.sha256(), 0
        for number, item in enumerate(self._function()):
            sample, label = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
            arrays = sample if isinstance(sample, Mapping) else {self._inputs[0]: sample}
            raw = {name: np.asarray(arrays[name])[None] for name in self._inputs if name in arrays}
            if len(raw) != len(self._inputs) or any(values.dtype.kind not in "iufb" for values in raw.values()):
                raise DataError(self.place, f"sample {number}", f"{SAMPLE}, for {', '.join(self._inputs)}", type(sample).__name__)
            example = Example(raw, None if label is None else np.asarray(label))
            for values in (*raw.values(), *([] if example.label is None else [example.label])):
                digest.update(f"{values.dtype.str}{values.shape}".encode())
                digest.update(values.tobytes())
                size += values.nbytes
            yield example
        found = Identity(self.place, digest.hexdigest(), size)
        if self._identity is not None and self._identity != found:
            raise DataError(self.place, "samples", "the same ones at every call", "others: both models must see the very same")
        self._identity = found


def load_function(option: str, text: str) -> Callable[..., Any]:
    """Import 'module:function', also from the current folder; raise OptionError when there is none."""
    module, _, name = text.partition(":")
    expected = "module:function that can be imported from here"
    try:
        with _current_folder_first():
            function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError(option, text, expected, str(error)) from error
    if not callable(function):
        raise OptionError(option, text, expected, type(function).__name__)
    checked: Callable[..., Any] = function
    return checked


@contextmanager
def _current_folder_first() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
