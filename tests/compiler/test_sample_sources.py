"""Where samples come from: archives read row by row, folders of images, and the user's own Python."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from compiler.errors import DataError, OptionError
from compiler.evaluate.datasets import check_disjoint, survey
from compiler.evaluate.folder import FolderSource
from compiler.evaluate.generator import GeneratorSource
from compiler.evaluate.npz import NpzSource
from compiler.evaluate.port import Source
from compiler.evaluate.sources import open_source
from compiler.graph.interface import Interface
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec
from tests.compiler.material import images, save_npz

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'fieldfare[vision]'")

IMAGE = TensorSpec(name="image", datatype="FP32", shape=(1, 3, 8, 8))
SCORES = TensorSpec(name="scores", datatype="FP32", shape=(1, 4))
MODEL = Interface((IMAGE,), (SCORES,))
TO_IMAGE = Preprocess.parse("resize=8x8,layout=CHW")


def rows(source: Source) -> list[tuple[list[int], Any]]:
    return [
        (example.raw["image"].ravel().tolist(), None if example.label is None else example.label.tolist()) for example in source.examples()
    ]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_an_archive_gives_its_rows_however_it_was_written(tmp_path: Path, order: Any, is_packed: bool) -> None:
    x = np.asarray(images(700, seed=1), order=order)
    (np.savez_compressed if is_packed else np.savez)(tmp_path / "a.npz", x=x, y=np.arange(700))
    found = rows(NpzSource(tmp_path / "a.npz", ("image",)))
    assert found == [(x[number].ravel().tolist(), number) for number in range(700)]


def test_a_model_of_several_inputs_takes_one_array_for_each(tmp_path: Path) -> None:
    file = save_npz(tmp_path / "a.npz", ids=np.arange(6).reshape(3, 2), mask=np.ones((3, 2), np.int64))
    examples = list(NpzSource(file, ("ids", "mask")).examples())
    assert [example.raw["ids"].tolist() for example in examples] == [[[0, 1]], [[2, 3]], [[4, 5]]]
    with pytest.raises(DataError, match="segments: expected an array of samples, found arrays ids, mask"):
        list(NpzSource(file, ("ids", "mask", "segments")).examples())


def test_inputs_that_differ_in_length_are_refused(tmp_path: Path) -> None:
    file = save_npz(tmp_path / "a.npz", ids=np.zeros((3, 2)), mask=np.zeros((4, 2)))
    with pytest.raises(DataError, match=r"mask: expected one for each of 3 samples, found float64 of shape \[4, 2\]"):
        list(NpzSource(file, ("ids", "mask")).examples())


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    peaks = []
    for count in (400, 6000):
        file = save_npz(tmp_path / f"{count}.npz", x=images(count, seed=2, shape=(3, 64, 64)))
        big = Interface((TensorSpec(name="image", datatype="FP32", shape=(1, 3, 64, 64)),), (SCORES,))
        tracemalloc.start()
        samples = survey(NpzSource(file, ("image",)), big, Preprocess())
        for _ in samples.feeds():
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 69 MB more of samples; what is kept of each is a digest and a few numbers.
    assert peaks[1] - peaks[0] < 3_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "photos"
    (place / "more").mkdir(parents=True)
    for number, name in enumerate(["b.png", "a.png", "more/c.png"]):
        pixels = np.random.default_rng(number).integers(0, 256, (10 + number, 12, 3), np.uint8)
        assert cv2.imwrite(str(place / name), pixels[..., ::-1])
    return place


def photos(folder: Path, *, channels: int = 3, names: tuple[str, ...] = ()) -> FolderSource:
    return FolderSource(folder, "image", channels, names)


def test_images_are_red_green_blue_in_the_order_of_their_names(folder: Path) -> None:
    found = [example.raw["image"] for example in photos(folder).examples()]
    assert [image.shape for image in found] == [(1, 11, 12, 3), (1, 10, 12, 3), (1, 12, 12, 3)]
    np.testing.assert_array_equal(found[0][0], np.random.default_rng(1).integers(0, 256, (11, 12, 3), np.uint8))
    grey = next(photos(folder, channels=1).examples()).raw["image"]
    assert grey.shape == (1, 11, 12, 1)


def test_labels_are_read_from_a_file_beside_them_by_index_or_name(folder: Path) -> None:
    (folder / "labels.csv").write_text("a.png, 1\n\nb.png,owl\nmore/c.png,0\n")
    labels = [example.label for example in photos(folder, names=("cat", "dog", "owl")).examples()]
    assert [int(label) for label in labels if label is not None] == [1, 2, 0]


def test_several_lines_of_boxes_belong_to_one_image(folder: Path) -> None:
    (folder / "labels.txt").write_text("a.png,0.1,0.2,0.3,0.4,1\na.png,0,0,1,1,0\nb.png,0,0,0.5,0.5,2\n")
    labels = [example.label for example in photos(folder).examples()]
    assert [None if label is None else label.shape for label in labels] == [(2, 5), (1, 5), (0, 5)]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("a.png,owl", "labels.csv: line 1: expected 'FILE,CLASS'"),
        ("a.png,1,2", "found '1,2'"),
        ("a.png,1", "labels.csv: b.png: expected a line"),
    ],
)
def test_labels_that_name_no_class_or_miss_an_image_are_refused(folder: Path, line: str, complaint: str) -> None:
    (folder / "labels.csv").write_text(line)
    with pytest.raises(DataError) as refused:
        list(photos(folder).examples())
    assert complaint in str(refused.value)


def test_a_file_that_is_no_image_is_named(folder: Path) -> None:
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(DataError, match=r"b.png: content: expected an image"):
        list(photos(folder).examples())


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"files: expected images \(.bmp, .jpeg, .jpg, .png, .webp\), found none"):
        list(photos(tmp_path).examples())


def test_a_folder_is_named_by_its_content_and_not_its_place(folder: Path) -> None:
    before = photos(folder).identity()
    moved = folder.rename(folder.parent / "elsewhere")
    assert photos(moved).identity().sha256 == before.sha256
    (moved / "labels.csv").write_text("a.png,1\n")
    assert photos(moved).identity().sha256 != before.sha256


def test_images_of_any_size_become_inputs_and_the_usual_size_is_what_callers_send(folder: Path) -> None:
    cv2.imwrite(str(folder / "d.png"), np.random.default_rng(9).integers(0, 256, (10, 12, 3), np.uint8))
    samples = survey(photos(folder), MODEL, TO_IMAGE)
    assert samples.raw == (TensorSpec(name="image", datatype="UINT8", shape=(1, 10, 12, 3)),)
    assert samples.usual.tolist() == [1, 2]
    assert {feed["image"].shape for feed in samples.feeds()} == {(1, 3, 8, 8)}
    assert samples.raw_at([1, 2])["image"].shape == (2, 10, 12, 3)


def test_images_that_do_not_become_inputs_are_refused_with_what_they_become(folder: Path) -> None:
    with pytest.raises(DataError, match=r"samples of shape \[3, 8, 8\] for input image, found shape \[11, 12, 3\], which .* \[6, 6, 3\]"):
        survey(photos(folder), MODEL, Preprocess.parse("crop=6"))
    tall = Interface((TensorSpec(name="image", datatype="FP32", shape=(1, 3, 11, 5)),), (SCORES,))
    with pytest.raises(DataError, match=r"at least 11x5 pixels, not 10x12, found shape \[10, 12, 3\] in sample 1"):
        survey(photos(folder), tall, Preprocess.parse("crop=11x5,layout=CHW"))


def twenty() -> Iterator[tuple[npt.NDArray[np.uint8], int]]:
    yield from zip(images(20, seed=1), np.arange(20) % 4, strict=True)


def test_what_a_callable_yields_are_samples_and_labels() -> None:
    samples = survey(GeneratorSource("here:twenty", twenty, ("image",)), MODEL, Preprocess())
    assert (len(samples), samples.has_labels) == (20, True)
    assert samples.classes is not None
    assert samples.classes.tolist() == [number % 4 for number in range(20)]


def test_a_callable_may_yield_samples_alone_or_by_input_name() -> None:
    alone = survey(GeneratorSource("alone", lambda: iter(images(5, seed=1)), ("image",)), MODEL, Preprocess())
    named = survey(GeneratorSource("named", lambda: [{"image": image} for image in images(5, seed=1)], ("image",)), MODEL, Preprocess())
    assert not alone.has_labels
    assert alone.digests == named.digests


def test_a_callable_that_yields_other_samples_the_second_time_is_refused() -> None:
    chance = np.random.default_rng()
    source = GeneratorSource("augmented", lambda: chance.normal(size=(5, 3, 8, 8)), ("image",))
    list(source.examples())
    with pytest.raises(DataError, match="augmented: samples: expected the same ones at every call"):
        list(source.examples())


def test_something_else_than_samples_is_refused_with_its_number() -> None:
    with pytest.raises(DataError, match=r"sample 1: expected .*found str"):
        list(GeneratorSource("words", lambda: [images(1, seed=1)[0], "word"], ("image",)).examples())


def test_a_place_says_itself_what_kind_of_source_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_samples.py").write_text("def some():\n    return [[1.0]]\n")
    monkeypatch.chdir(tmp_path)
    opened = [open_source("--evaluation", place, MODEL, TO_IMAGE, ()) for place in (str(tmp_path), "own_samples:some", "a.npz")]
    assert [type(source) for source in opened] == [FolderSource, GeneratorSource, NpzSource]
    with pytest.raises(OptionError, match="--evaluation: no_such:function: expected module:function"):
        open_source("--evaluation", "no_such:function", MODEL, TO_IMAGE, ())


def test_a_sample_is_the_same_wherever_it_comes_from(tmp_path: Path) -> None:
    archive = survey(NpzSource(save_npz(tmp_path / "a.npz", x=images(3, seed=1)), ("image",)), MODEL, Preprocess())
    yielded = survey(GeneratorSource("here:twenty", twenty, ("image",)), MODEL, Preprocess())
    with pytest.raises(DataError, match="found 3 in both; the first is number 0 here and number 0 there"):
        check_disjoint(yielded, archive)
