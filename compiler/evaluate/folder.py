"""Reads samples from a folder of images with OpenCV, and their labels from a text file beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from compiler.errors import DataError, OptionError
from compiler.evaluate.port import Array, Example, Identity
from contracts.codec import Json, sha256_of_stream

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
LABELS_FILES = ("labels.csv", "labels.txt")
LINE = "'FILE,CLASS' or 'FILE,X1,Y1,X2,Y2,CLASS', a class by index or by its name in --labels"


@dataclass(frozen=True)
class FolderSource:
    """Images [1, height, width, channels], uint8 RGB or grey, in the order of their names.

    `labels.csv` or `labels.txt` in the folder names a class for each image, or a box in shares of the image on each of its lines.
    """

    folder: Path
    input: str
    channels: int
    class_names: tuple[str, ...]

    @property
    def place(self) -> str:
        """Return the folder."""
        return str(self.folder)

    @cached_property
    def _files(self) -> list[Path]:
        files = sorted(file for file in self.folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not files:
            raise DataError(self.place, "files", f"images ({', '.join(sorted(SUFFIXES))})", "none")
        return files

    @cached_property
    def _labels_file(self) -> Path | None:
        return next((self.folder / name for name in LABELS_FILES if (self.folder / name).is_file()), None)

    @property
    def content(self) -> dict[str, Json] | None:
        """Name every file, and how they are read; None for what cannot be read."""
        try:
            names: dict[str, Json] = {"input": self.input, "class_names": self.class_names}
            return {"kind": "images", "sha256": self.identity().sha256, "channels": self.channels, **names}
        except OSError:
            return None

    def identity(self) -> Identity:
        """Name the content: every image, by name and bytes, and the labels, as they were when first asked."""
        return self._identity

    @cached_property
    def _identity(self) -> Identity:
        digest, size = hashlib.sha256(), 0
        for file in [*self._files, *([self._labels_file] if self._labels_file else [])]:
            with file.open("rb") as stream:
                digest.update(f"{sha256_of_stream(stream)}  {file.relative_to(self.folder).as_posix()}\n".encode())
            size += file.stat().st_size
        return Identity(self.folder.name, digest.hexdigest(), size)

    def examples(self) -> Iterator[Example]:
        """Decode image by image; raise DataError for one that is no image or has no label though others have."""
        try:
            import cv2
        except ImportError as error:
            raise OptionError(self.place, "images", "OpenCV to read them", "none: pip install 'fieldfare[vision]'") from error
        labels = self._labels()
        mode = cv2.IMREAD_GRAYSCALE if self.channels == 1 else cv2.IMREAD_COLOR
        for file in self._files:
            image = cv2.imread(str(file), mode)
            if image is None:
                raise DataError(str(file), "content", "an image", "something else, or one cut short")
            pixels = image[..., None] if self.channels == 1 else image[..., ::-1]
            name = file.relative_to(self.folder).as_posix()
            if labels is not None and name not in labels:
                raise DataError(str(self._labels_file), name, f"a line {LINE}", "none")
            yield Example({self.input: np.ascontiguousarray(pixels[None])}, None if labels is None else labels[name])

    def _labels(self) -> dict[str, Array] | None:
        if self._labels_file is None:
            return None
        try:
            lines = self._labels_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(str(self._labels_file), "file", f"text with lines {LINE}", str(error)) from error
        classes: dict[str, int] = {}
        boxes: dict[str, list[list[float]]] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            name, *fields = (field.strip() for field in line.split(","))
            *edges, label = self._fields(number, fields)
            classes[name] = int(label)
            if edges:
                boxes.setdefault(name, []).append([*edges, label])
        if boxes:
            return {file.relative_to(self.folder).as_posix(): _boxes(boxes, file.relative_to(self.folder)) for file in self._files}
        return {name: np.asarray(label, np.int64) for name, label in classes.items()}

    def _fields(self, number: int, fields: list[str]) -> list[float]:
        try:
            if len(fields) not in (1, 5):
                raise ValueError
            *edges, label = fields
            index = self.class_names.index(label) if label in self.class_names else int(label)
            return [*(float(edge) for edge in edges), index]
        except ValueError as error:
            raise DataError(str(self._labels_file), f"line {number}", LINE, repr(",".join(fields))) from error


def _boxes(boxes: dict[str, list[list[float]]], name: Path) -> Array:
    """An image without a line has nothing on it."""
    return np.asarray(boxes.get(name.as_posix(), []), np.float32).reshape(-1, 5)
