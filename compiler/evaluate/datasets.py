"""Looks through all samples once, refuses those that could not calibrate or judge a model, and hands them out as the model takes them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from compiler.errors import DataError
from compiler.evaluate.port import Array, Example, Feed, Raw, Shown, Source
from compiler.graph.interface import Interface
from contracts.preprocess import Preprocess
from contracts.tensors import DATATYPES, Datatype, TensorSpec

# Raises DataError for a label, or a lack of one, that the metric cannot use: place, number of the sample, label.
LabelCheck = Callable[[str, int, "Array | None"], None]
DIGEST_BYTES = 16


@dataclass(frozen=True)
class Samples:
    """A source that was looked through: as many samples as `count`, each of which fits the model."""

    source: Source
    interface: Interface
    preprocess: Preprocess
    count: int
    # What callers send: the shape that most samples have, and the numbers of these.
    raw: tuple[TensorSpec, ...]
    usual: npt.NDArray[np.int64]
    has_labels: bool
    # The labels where each is one integer, [n].
    classes: npt.NDArray[np.int64] | None
    # A short digest of each sample as the model sees it, and one of all labels.
    digests: tuple[bytes, ...]
    labels_digest: bytes

    def __len__(self) -> int:
        return self.count

    def shown(self) -> Iterator[Shown]:
        """Yield every sample as the model takes it, batch of 1, with its label; raise DataError where they are not those surveyed."""
        first = self.interface.input
        for example, feed in self._surveyed():
            yield Shown(feed, example.label, self.preprocess.view_for(example.raw[first.name].shape, first))

    def feeds(self) -> Iterator[Feed]:
        """Yield every sample as the model takes it."""
        return (shown.feed for shown in self.shown())

    def feeds_at(self, chosen: Iterable[int]) -> Iterator[Feed]:
        """Yield some samples as the model takes them, in ascending order."""
        wanted = set(chosen)
        return (feed for number, (_, feed) in enumerate(self._surveyed()) if number in wanted)

    def raw_at(self, chosen: Iterable[int]) -> dict[str, Array]:
        """Return some samples as callers send them, [k, ...] by input name, in ascending order."""
        wanted = set(chosen)
        found = [example.raw for number, (example, _) in enumerate(self._surveyed()) if number in wanted]
        return {spec.name: np.concatenate([raw[spec.name].reshape(spec.shape) for raw in found]) for spec in self.raw}

    def _surveyed(self) -> Iterator[tuple[Example, Feed]]:
        """Yield what the source yields as long as it is what was surveyed: what is remembered under a digest has that digest."""
        count = 0
        for count, example in enumerate(self.source.examples(), 1):
            feed = prepared(example.raw, self.interface, self.preprocess)
            if count > self.count or _digest(feed.values()) != self.digests[count - 1]:
                raise DataError(self.source.place, "samples", "the same ones until the end", f"another as number {count - 1}")
            yield example, feed
        if count < self.count:
            raise DataError(self.source.place, "samples", f"the same {self.count} until the end", str(count))


def prepared(raw: Raw, interface: Interface, preprocess: Preprocess) -> Feed:
    """Return one raw sample as the model takes it."""
    return {spec.name: preprocess.prepare(raw[spec.name], spec) for spec in interface.inputs}


def survey(source: Source, interface: Interface, preprocess: Preprocess, check_label: LabelCheck | None = None) -> Samples:
    """Look through a source once; raise DataError for what does not fit the model, or could tell nothing about it."""
    seen = _Survey(source.place, interface, preprocess)
    for example in source.examples():
        if check_label:
            check_label(source.place, seen.count, example.label)
        seen.add(example)
    return seen.samples(source)


def check_disjoint(calibration: Samples, evaluation: Samples) -> None:
    """Raise DataError if a sample calibrates and judges: the gate would then measure memory, not accuracy."""
    seen = {digest: number for number, digest in enumerate(calibration.digests)}
    shared = [(seen[digest], number) for number, digest in enumerate(evaluation.digests) if digest in seen]
    if shared:
        first, second = shared[0]
        found = f"{len(shared)} in both; the first is number {second} here and number {first} there"
        raise DataError(evaluation.source.place, "x", f"no sample of {calibration.source.place}", found)


@dataclass
class _Survey:
    """What is known after each sample."""

    place: str
    interface: Interface
    preprocess: Preprocess
    count: int = 0
    has_labels: bool = False
    low: float = np.inf
    high: float = -np.inf
    digests: list[bytes] = field(default_factory=list)
    labels: blake2b = field(default_factory=lambda: blake2b(digest_size=DIGEST_BYTES))
    shapes: list[tuple[tuple[int, ...], ...]] = field(default_factory=list)
    classes: array[int] = field(default_factory=lambda: array("q"))
    dtypes: tuple[str, ...] = ()

    def add(self, example: Example) -> None:
        for spec in self.interface.inputs:
            self._check(spec, example.raw[spec.name])
        dtypes = tuple(example.raw[spec.name].dtype.name for spec in self.interface.inputs)
        if self.count and dtypes != self.dtypes:
            raise DataError(
                self.place, "x", f"samples of one type, {', '.join(self.dtypes)}", f"{', '.join(dtypes)} in sample {self.count}"
            )
        self.dtypes = dtypes
        self.has_labels = example.label is not None
        if example.label is not None:
            self.labels.update(f"{example.label.dtype.str}{example.label.shape}".encode() + example.label.tobytes())
        if example.label is not None and example.label.size == 1 and example.label.dtype.kind in "iu":
            self.classes.append(int(example.label.reshape(())))
        # Shapes are mostly equal: kept once each.
        shape = tuple(example.raw[spec.name].shape for spec in self.interface.inputs)
        self.shapes.append(self.shapes[-1] if self.shapes and self.shapes[-1] == shape else shape)
        feed = prepared(example.raw, self.interface, self.preprocess)
        self.digests.append(_digest(feed.values()))
        self.count += 1

    def _check(self, spec: TensorSpec, values: Array) -> None:
        if values.dtype.name not in DATATYPES or values.dtype.kind == "b":
            raise DataError(self.place, "x", "integers or floats of 8 to 64 bits", f"type {values.dtype}")
        found = f"shape {list(values.shape[1:])}"
        try:
            shape = self.preprocess.shape_for(values.shape, spec)
        except ValueError as error:
            raise DataError(self.place, "x", str(error), f"{found} in sample {self.count}") from error
        if not spec.accepts_shape(shape):
            made = f"{found}, which preprocessing makes {list(shape[1:])}" if shape != values.shape else found
            raise DataError(self.place, "x", f"samples of shape {list(spec.shape[1:])} for input {spec.name}", made)
        if values.size == 0:
            raise DataError(self.place, "x", "at least one value in a sample", found)
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(low + high):
            raise DataError(self.place, "x", "finite values", f"NaN or infinity in sample {self.count}")
        self.low, self.high = min(self.low, low), max(self.high, high)

    def samples(self, source: Source) -> Samples:
        """Return what was found; raise DataError when all samples are one and the same."""
        if not self.count:
            raise DataError(self.place, "x", "at least one sample", "none")
        if self.count > 1 and len(set(self.digests)) == 1:
            raise DataError(self.place, "x", "samples that differ", f"{self.count} times the same one")
        if self.low == self.high:
            raise DataError(self.place, "x", "values that vary", f"{self.low} everywhere")
        [(usual, _)] = Counter(self.shapes).most_common(1)
        return Samples(
            source=source,
            interface=self.interface,
            preprocess=self.preprocess,
            count=self.count,
            raw=tuple(self._raw(*spec) for spec in zip(self.interface.inputs, self.dtypes, usual, strict=True)),
            usual=np.flatnonzero([shape == usual for shape in self.shapes]),
            has_labels=self.has_labels,
            classes=np.frombuffer(self.classes, np.int64) if len(self.classes) == self.count else None,
            digests=tuple(self.digests),
            labels_digest=self.labels.digest(),
        )

    def _raw(self, spec: TensorSpec, dtype: str, shape: tuple[int, ...]) -> TensorSpec:
        """Return an input as callers send it; numbers in the model's own shape, images in theirs."""
        is_image = self.preprocess.has_images and spec.datatype.startswith("FP")
        datatype: Datatype = DATATYPES[dtype]  # type: ignore[assignment]  # _check saw to it
        return TensorSpec(name=spec.name, datatype=datatype, shape=shape if is_image else spec.shape)


def _digest(arrays: Iterable[Array]) -> bytes:
    digest = blake2b(digest_size=DIGEST_BYTES)
    for values in arrays:
        digest.update(values.tobytes())
    return digest.digest()
