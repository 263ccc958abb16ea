"""What is remembered comes back whole, and what is not its form was never there."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import pytest

from compiler.cache.forms import estimate_step, record_step
from compiler.cache.key import key_of
from compiler.cache.memory import Memory, Step
from compiler.cache.packed import packed, unpacked
from compiler.evaluate.bootstrap import paired
from compiler.evaluate.datasets import Samples
from compiler.evaluate.examination import Record
from compiler.evaluate.metrics import METRICS
from compiler.evaluate.port import Outputs
from compiler.evaluate.tallies import Answer
from compiler.importers.content import content_of
from compiler.quantize.calibrate import Calibration
from contracts.codec import Json
from tests.compiler.material import ROOT, classifier

RANDOM = np.random.default_rng(7)
TEXT: Step[str] = Step("text", str.encode, bytes.decode)


@dataclass
class InMemory:
    """A store that forgets nothing."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    def put(self, key: str, content: bytes) -> None:
        self.kept[key] = content


def answer(truth: str) -> tuple[Answer, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    values = RANDOM.random((1, 6), dtype=np.float32)
    outputs = {"scores": values}
    if truth == "boxes":
        corners = np.sort(RANDOM.random((1, 3, 2, 2), dtype=np.float32), axis=2).reshape(1, 3, 4)
        results: Outputs = {"boxes": corners, "scores": RANDOM.random((1, 3)), "classes": np.array([[0, 1, -1]])}
        return Answer({"in": values}, outputs, results), np.c_[corners[0, :2], [0, 1]].astype(np.float64)
    target = RANDOM.random(6) if truth in ("values", "float") else RANDOM.integers(0, 2, ())
    return Answer({"in": values + 0.1}, outputs, outputs), np.asarray(target)


@pytest.mark.parametrize("name", METRICS)
def test_a_record_comes_back_with_the_same_metric_under_any_weights(name: str) -> None:
    metric = METRICS[name]
    tally, answers = metric.begin(), [answer(metric.truth) for _ in range(20)]
    for each, truth in answers:
        tally.add(each, truth)
    step = record_step(metric)
    before = Record("lib 1", tally, np.arange(20), tuple(each.outputs for each, _ in answers[:3]), 0.25)
    after = step.unpack(step.pack(before))
    assert (after.version, after.latency_ms) == ("lib 1", 0.25)
    assert after.decisions is not None
    assert after.decisions.tolist() == list(range(20))
    for found, kept in zip(after.candidates, before.candidates, strict=True):
        np.testing.assert_array_equal(found["scores"], kept["scores"])
    for weights in (np.ones(20), RANDOM.integers(0, 4, 20).astype(float)):
        np.testing.assert_equal(after.tally.value(weights), before.tally.value(weights))
    estimate = paired(metric, before.tally, after.tally, 20)
    np.testing.assert_equal(estimate_step().unpack(estimate_step().pack(estimate)), estimate)


def test_the_forms_say_every_field_of_what_is_remembered() -> None:
    """A field that a form leaves out would be lost in silence: whoever adds one adds it to compiler/cache/forms.py, then here."""
    given = {"source", "interface", "preprocess"}
    assert {one.name for one in fields(Record)} == {"version", "tally", "decisions", "candidates", "latency_ms"}
    assert {one.name for one in fields(Calibration)} == {"plan", "calibrator", "scores"}
    assert {one.name for one in fields(Samples)} - given == {"count", "raw", "usual", "has_labels", "classes", "digests", "labels_digest"}


def test_arrays_come_back_with_their_types_shapes_and_order() -> None:
    arrays = {"b": np.arange(6, dtype=">i2").reshape(2, 3).T, "a": np.array(2.5, np.float16), "none": np.zeros((0, 4), bool)}
    found = unpacked(packed({"x": [1, None, "ü"], "y": 0.1}, arrays))
    assert found.values == {"x": [1, None, "ü"], "y": 0.1}
    assert list(found.arrays) == ["b", "a", "none"]
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x80\x04N.",
        pickle.dumps(print),
        b"{}\n",
        b"[]\n",
        b'{"values":{},"arrays":[["a","|O",[1]]]}\n12345678',
        b'{"values":{},"arrays":[["a","<f4",[3]]]}\nshort',
        b'{"values":{},"arrays":[["a","<f4",[-1]]]}\n1234',
        b'{"values":{},"arrays":[]}\nmore',
    ],
)
def test_an_entry_of_another_form_is_made_again_and_nothing_in_it_runs(raw: bytes) -> None:
    step = Step("numbers", lambda numbers: packed({}, {"n": np.asarray(numbers)}), lambda content: unpacked(content).arrays["n"].tolist())
    store = InMemory()
    Memory(store, ground="here").recall(step, {"a": 1}, lambda: [1, 2])
    [key] = store.kept
    store.kept[key] = raw
    again = Memory(store, ground="here").recall(step, {"a": 1}, lambda: [1, 2])
    assert (again.value, again.is_earlier) == ([1, 2], False)
    assert Memory(store, ground="here").recall(step, {"a": 1}, lambda: [9]).value == [1, 2]


def test_a_step_is_done_again_when_anything_that_decides_it_changed() -> None:
    store = InMemory()
    made = iter(range(100))

    def ask(step: Step[str], ground: str, parts: dict[str, Json] | None) -> bool:
        return Memory(store, ground=ground).recall(step, parts, lambda: str(next(made))).is_earlier

    assert [ask(TEXT, "here", {"a": 1}) for _ in range(2)] == [False, True]
    other: Step[str] = Step("other", str.encode, bytes.decode)
    assert [ask(other, "here", {"a": 1}), ask(TEXT, "there", {"a": 1}), ask(TEXT, "here", {"a": 2})] == [False] * 3
    assert [ask(TEXT, "here", None) for _ in range(2)] == [False, False]  # only calling the user's own code tells
    assert next(made) == 6


def test_equal_parts_have_one_key_in_any_order_and_unequal_ones_never() -> None:
    assert key_of("s", "g", {"a": 1, "b": [2, None]}) == key_of("s", "g", {"b": (2, None), "a": 1})
    different: list[Json] = [{"a": "1"}, {"a": 1}, {"a": 1.5}, {"a": [1]}, {"a": None}, {"b": 1}, {"a": {"1": 1}}, {}, None, True]
    assert len({key_of("s", "g", parts) for parts in different}) == len(different)
    with pytest.raises(ValueError, match="not JSON compliant"):
        key_of("s", "g", {"a": float("nan")})


def ground_of(root: Path) -> str:
    program = "from compiler.cache.ground import ground; print(ground())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, timeout=60, check=True
    )
    return done.stdout.decode()


def test_a_changed_line_of_the_compiler_changes_the_ground_and_another_place_does_not(tmp_path: Path) -> None:
    for package in ("compiler", "contracts"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    first = ground_of(tmp_path)
    assert first == ground_of(ROOT)
    for file in ("compiler/quantize/ranges.py", "compiler/targets/cpu.toml", "contracts/preprocess.py"):
        with (tmp_path / file).open("a") as stream:
            stream.write("# changed\n")
        first, before = ground_of(tmp_path), first
        assert first != before, file


@pytest.mark.parametrize("change", ["weights beside it", "the file", "its suffix", "the shapes"])
def test_a_model_is_known_by_every_byte_that_an_import_reads(tmp_path: Path, change: str) -> None:
    import onnx

    file = tmp_path / "model.onnx"
    onnx.save_model(classifier(), file, save_as_external_data=True, location="weights.bin", size_threshold=0)
    first = content_of(str(file), {})
    assert first is not None
    changes: dict[str, Callable[[], object]] = {
        "weights beside it": lambda: (tmp_path / "weights.bin").write_bytes(bytes((tmp_path / "weights.bin").stat().st_size)),
        "the file": lambda: file.write_bytes(file.read_bytes() + b"\x00"),
        "its suffix": lambda: file.rename(tmp_path / "model.pb"),
        "the shapes": lambda: None,
    }
    changes[change]()
    file = tmp_path / "model.pb" if change == "its suffix" else file
    assert content_of(str(file), {"image": (1, 3, 8, 8)} if change == "the shapes" else {}) != first


def test_a_model_elsewhere_under_another_name_is_the_same_and_a_function_is_never_known(tmp_path: Path) -> None:
    import onnx

    (tmp_path / "deep").mkdir()
    onnx.save_model(classifier(), tmp_path / "one.onnx")
    shutil.copy(tmp_path / "one.onnx", tmp_path / "deep" / "two.onnx")
    assert content_of(str(tmp_path / "one.onnx"), {}) == content_of(str(tmp_path / "deep" / "two.onnx"), {}) is not None
    assert content_of("training.models:build", {}) is None
    assert content_of(str(tmp_path / "absent.onnx"), {}) is None
    assert content_of(str(tmp_path), {}) is None
    assert content_of("/dev/zero", {}) is None


def test_a_saved_model_is_known_by_every_file_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "variables" / "data").write_bytes(b"weights")
    first = content_of(str(tmp_path), {})
    assert first is not None
    (tmp_path / "variables" / "data").write_bytes(b"Weights")
    assert content_of(str(tmp_path), {}) != first
