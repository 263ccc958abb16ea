"""Decides the static shape of each input: what the file fixes, a batch of 1, and what --shape says of the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from compiler.errors import ModelError, OptionError

# By input name.
Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
MAX_SIZE = 1 << 20


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Read options such as 'image=1x3x224x224'; raise OptionError."""
    shapes = {}
    for text in texts:
        found = re.fullmatch(r"(.+)=(\d{1,7}(?:[x,]\d{1,7})*)", text)
        sizes = tuple(int(size) for size in re.split("[x,]", found[2])) if found else ()
        if not found or not all(1 <= size <= MAX_SIZE for size in sizes):
            raise OptionError("--shape", "shape", f"name=SIZExSIZE... with sizes of 1 to {MAX_SIZE}, such as image=1x3x224x224", repr(text))
        shapes[found[1]] = sizes
    return shapes


def static_shape(place: str, name: str, dims: Sequence[int | str | None] | None, given: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return an input's shape and take its entry out of `given`; a name or None stands for a size that the file leaves open.

    Raises ModelError where a size stays open, or where `given` contradicts the file.
    """
    shown = "no shape at all" if dims is None else "[" + ", ".join("?" if size is None else str(size) for size in dims) + "]"
    shape = given.pop(name, None)
    if shape is not None:
        _check_fits(place, name, shape, dims, shown)
    elif not dims:
        raise ModelError(place, f"input {name}", "a static shape whose first axis is the batch", shown)
    else:
        shape = tuple(size if isinstance(size, int) else int(axis == 0) for axis, size in enumerate(dims))
        if 0 in shape:
            example = "x".join(str(size or 224) for size in shape)
            raise ModelError(place, f"input {name}", f"a static shape but for the batch, or --shape as in {name}={example}", shown)
    if shape[0] != 1:
        raise ModelError(place, f"input {name}", "a batch of 1, or a free one", shown)
    return shape


def _check_fits(place: str, name: str, shape: tuple[int, ...], dims: Sequence[int | str | None] | None, shown: str) -> None:
    is_fit = dims is None or len(shape) == len(dims)
    if not is_fit or any(isinstance(size, int) and size != wanted for size, wanted in zip(dims or (), shape, strict=False)):
        raise ModelError(place, f"input {name}", f"a --shape that fits {shown}", "x".join(str(size) for size in shape))


def check_all_used(unused: Mapping[str, tuple[int, ...]], place: str, known: Sequence[str]) -> None:
    """Raise ModelError when --shape names something that is no input."""
    if unused:
        raise ModelError(place, "--shape", f"the name of an input, one of {', '.join(known)}", next(iter(unused)))
