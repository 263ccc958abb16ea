"""Reads samples from an .npz file row by row, so that memory does not grow with their number."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from compiler.errors import DataError
from compiler.evaluate.port import Array, Example, Identity
from contracts.codec import Json, sha256_of_stream

EXPECTED = "a whole .npz file of plain arrays"
LABELS = "y"
# Rows are read in blocks of about this size.
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class NpzSource:
    """Array `x`, or one array for each input by its name, and `y` where there are labels; the first axis counts the samples."""

    file: Path
    inputs: tuple[str, ...]

    @property
    def place(self) -> str:
        """Return the file."""
        return str(self.file)

    @property
    def content(self) -> dict[str, Json] | None:
        """Name the file's bytes, and which arrays are read; None for what cannot be read."""
        try:
            return {"kind": "npz", "sha256": self.identity().sha256, "inputs": self.inputs}
        except OSError:
            return None

    def identity(self) -> Identity:
        """Name the file's bytes, as they were when first asked."""
        return self._identity

    @cached_property
    def _identity(self) -> Identity:
        with self.file.open("rb") as stream:
            return Identity(self.file.name, sha256_of_stream(stream), self.file.stat().st_size)

    def examples(self) -> Iterator[Example]:
        """Yield the rows; raise DataError for a file that is cut short or holds something else."""
        with self._opened() as archive, ExitStack() as streams:
            members = {name.removesuffix(".npy") for name in archive.namelist()}
            names = {name: self._array_of(name, members) for name in self.inputs}
            columns = {name: _Column(self, array, streams.enter_context(archive.open(f"{array}.npy"))) for name, array in names.items()}
            labels = _Column(self, LABELS, streams.enter_context(archive.open(f"{LABELS}.npy"))) if LABELS in members else None
            count = self._count([*columns.values(), *([labels] if labels else [])])
            rows = {name: column.rows() for name, column in columns.items()}
            answers = labels.rows() if labels else None
            for _ in range(count):
                raw = {name: next(column)[None] for name, column in rows.items()}
                yield Example(raw, next(answers) if answers else None)

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        if not self.file.is_file():
            raise DataError(self.place, "file", "an .npz file of samples", "no such file")
        try:
            if not zipfile.is_zipfile(self.file):
                raise DataError(self.place, "content", EXPECTED, "something else, or one cut short")
            with zipfile.ZipFile(self.file) as archive:
                yield archive
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError) as error:
            raise DataError(self.place, "content", EXPECTED, str(error)) from error

    def _array_of(self, name: str, members: set[str]) -> str:
        if name in members:
            return name
        if "x" in members and len(self.inputs) == 1:
            return "x"
        wanted = "x" if len(self.inputs) == 1 else name
        raise DataError(self.place, wanted, "an array of samples", f"arrays {', '.join(sorted(members)) or 'none'}")

    def _count(self, columns: list[_Column]) -> int:
        count = columns[0].shape[0]
        for column in columns[1:]:
            if column.shape[0] != count:
                found = f"{column.dtype} of shape {list(column.shape)}"
                raise DataError(self.place, column.name, f"one for each of {count} samples", found)
        return count


class _Column:
    """One array of the archive, of which a block is in memory at a time."""

    def __init__(self, source: NpzSource, name: str, stream: IO[bytes]) -> None:
        self.name = name
        self._stream = stream
        version = np.lib.format.read_magic(stream)
        if version > (2, 0):
            raise DataError(source.place, name, "numbers", "an array of records")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        self.shape, self._is_fortran, self.dtype = read_header(stream)
        if self.dtype.hasobject:
            raise DataError(source.place, "content", EXPECTED, f"pickled objects in {name}")
        if not self.shape or 0 in self.shape:
            raise DataError(source.place, name, "at least one sample", f"shape {list(self.shape)}")
        if self.dtype.kind not in "iufb":
            raise DataError(source.place, name, "integers or floats of 8 to 64 bits", f"type {self.dtype}")

    def rows(self) -> Iterator[Array]:
        row_shape = self.shape[1:]
        row_bytes = prod(row_shape) * self.dtype.itemsize
        if self._is_fortran and row_shape:
            # Written column by column: there are no rows before all of it was read.
            whole = np.frombuffer(self._read(self.shape[0] * row_bytes), self.dtype).reshape(self.shape[::-1]).T
            yield from whole
            return
        per_block = max(1, BLOCK_BYTES // row_bytes)
        for start in range(0, self.shape[0], per_block):
            count = min(per_block, self.shape[0] - start)
            yield from np.frombuffer(self._read(count * row_bytes), self.dtype).reshape(count, *row_shape)

    def _read(self, size: int) -> bytes:
        raw = self._stream.read(size)
        if len(raw) != size:
            raise EOFError(f"{self.name} is cut short")
        return raw
