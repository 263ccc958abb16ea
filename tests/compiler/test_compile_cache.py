"""A second compilation does again only what it must, and its bundle is byte for byte that of one that remembers nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from rich.progress import Progress

from compiler.cache.folder import FolderStore
from compiler.cache.memory import Memory
from compiler.cache.port import Nowhere, Store
from compiler.errors import DataError, GateError
from compiler.evaluate.datasets import survey
from compiler.evaluate.npz import NpzSource
from compiler.graph.interface import Interface
from compiler.pipeline import Compiled, compile_model
from compiler.recipe import Recipe
from contracts import codec
from contracts.commands import CostTable
from contracts.postprocess import parse_postprocess
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec
from tests.compiler.material import ROOT, classifier, digits_command, images, run, save_npz

Steps = set[tuple[str, str]]
JUDGED: Steps = {("evaluation", "cpu"), ("tolerance", "cpu"), ("layers", "cpu")}
LOWERED: Steps = {("lowering", "cpu"), *JUDGED}
PLANNED: Steps = {("calibration", ""), *LOWERED}
FLOAT: Steps = {("evaluation", "float")}
SURVEYED: Steps = {("samples", "calibration"), ("samples", "evaluation")}
MODEL: Steps = {("import", ""), ("normal form", "")}
# Golden samples are chosen among the answers: whether others are depends on these.
GOLDEN = ("golden samples", "")


@dataclass(frozen=True)
class Change:
    """Another value of one field of the recipe, and the steps that then must be done again."""

    value: Callable[[Path], Any]
    again: Steps


CHANGES = {
    "model": Change(lambda folder: other_model(folder), MODEL | FLOAT | PLANNED),
    "calibration": Change(lambda folder: samples(folder, "other", seed=3), {("samples", "calibration")} | PLANNED),
    "evaluation": Change(lambda folder: samples(folder, "other", seed=4), {("samples", "evaluation")} | FLOAT | JUDGED),
    "output": Change(lambda folder: folder / "elsewhere", set()),
    "targets": Change(lambda _: ("cpu", "rpi5"), {(step, "rpi5") for step in ("lowering", "evaluation", "tolerance", "layers")}),
    "name": Change(lambda _: "renamed", set()),
    "release": Change(lambda _: 7, set()),
    "preprocess": Change(lambda _: Preprocess(scale=0.02), SURVEYED | FLOAT | PLANNED),
    "postprocess": Change(lambda _: parse_postprocess("softmax"), FLOAT | {("evaluation", "cpu")}),
    "metric": Change(lambda _: "f1", FLOAT | {("evaluation", "cpu"), ("intervals", "cpu")}),
    "declared": Change(lambda _: 0.0, set()),
    "max_drop": Change(lambda _: 0.6, set()),
    "require_proof": Change(lambda _: True, set()),
    "labels": Change(lambda folder: class_names(folder), set()),
    "calibrator": Change(lambda _: "entropy", PLANNED),
    "folds": Change(lambda _: 3, PLANNED),
    "costs": Change(lambda folder: no_costs(folder), set()),
    "shapes": Change(lambda _: {"image": (1, 3, 8, 8)}, {("import", "")}),  # says what the batch of 1 said: the graph is the same
}


def samples(folder: Path, name: str, seed: int) -> str:
    labels = np.random.default_rng(seed).integers(0, 4, 60)
    return str(save_npz(folder / f"{name}.npz", x=images(60, seed=seed), y=labels))


def class_names(folder: Path) -> Path:
    (folder / "names.txt").write_text("a\nb\nc\nd\n")
    return folder / "names.txt"


def no_costs(folder: Path) -> Path:
    (folder / "costs.json").write_bytes(codec.encode(CostTable(costs=())))
    return folder / "costs.json"


def other_model(folder: Path) -> Path:
    model = classifier()
    [bias] = [tensor for tensor in model.graph.initializer if tensor.name == "bias"]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) * np.float32(0.5), "bias"))
    onnx.save(model, folder / "other.onnx")
    return folder / "other.onnx"


@pytest.fixture(scope="module")
def first_time(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, Compiled]:
    """Compile once into a cache; return what was asked, the cache, and what became of it."""
    folder = tmp_path_factory.mktemp("first")
    onnx.save(classifier(), folder / "model.onnx")
    recipe = Recipe(
        model=folder / "model.onnx",
        calibration=samples(folder, "calibration", seed=1),
        evaluation=samples(folder, "evaluation", seed=2),
        output=folder / "bundle",
        targets=("cpu",),
        name="model",
        release=1,
        preprocess=Preprocess(scale=0.01),
        postprocess=None,
        metric="top1",
        declared=None,
        max_drop=0.5,
        require_proof=False,
        labels=None,
        calibrator="minmax",
    )
    return recipe, folder / "cache", compiled(recipe, remembered(folder / "cache"))


@pytest.fixture
def recipe(first_time: tuple[Recipe, Path, Compiled], tmp_path: Path) -> Recipe:
    """Return that recipe, for a bundle of the test's own, and copy the cache to `cache` beside it."""
    recipe, cache, _ = first_time
    shutil.copytree(cache, tmp_path / "cache")
    return replace(recipe, output=tmp_path / "bundle")


def compiled(recipe: Recipe, store: Store) -> Compiled:
    with Progress(disable=True) as progress:
        return compile_model(recipe, Memory(store), progress)


def remembered(folder: Path) -> FolderStore:
    return FolderStore(folder, pytest.fail)


def done_again(found: Compiled) -> Steps:
    return {(done.step, done.subject) for done in found.steps if not done.is_earlier}


def content(folder: Path) -> dict[str, bytes]:
    """Return all but the page, which tells how long an inference took."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != "report.html")
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_the_same_recipe_again_does_nothing_again(first_time: tuple[Recipe, Path, Compiled], recipe: Recipe, tmp_path: Path) -> None:
    original, _, first = first_time
    assert done_again(first) == MODEL | SURVEYED | FLOAT | PLANNED | {GOLDEN}
    second = compiled(recipe, remembered(tmp_path / "cache"))
    assert done_again(second) == set()
    assert content(recipe.output) == content(original.output)
    assert not any(latency.is_earlier for latency in first.latencies.values())
    assert all(latency.is_earlier for latency in second.latencies.values())


def test_the_changes_name_every_field_of_a_recipe() -> None:
    assert set(CHANGES) == {field.name for field in fields(Recipe)}


@pytest.mark.parametrize("field", CHANGES)
def test_another_value_of_any_field_does_again_what_reads_it_and_nothing_else(field: str, recipe: Recipe, tmp_path: Path) -> None:
    changed = replace(recipe, **{field: CHANGES[field].value(tmp_path)})
    with_cache = compiled(changed, remembered(tmp_path / "cache"))
    found = content(changed.output)
    assert done_again(with_cache) - {GOLDEN} == CHANGES[field].again
    compiled(changed, Nowhere())
    assert found == content(changed.output)


def test_two_targets_that_compute_alike_are_lowered_and_run_once(recipe: Recipe, tmp_path: Path) -> None:
    found = compiled(replace(recipe, targets=("rpi4", "rpi5")), remembered(tmp_path / "cache"))
    assert done_again(found) - {GOLDEN} == {(step, "rpi4") for step in ("lowering", "evaluation", "tolerance", "layers")}
    assert content(recipe.output)["artifacts/rpi4/model.onnx"] == content(recipe.output)["artifacts/rpi5/model.onnx"]


def test_a_budget_is_raised_after_a_refusal_without_doing_anything_again(recipe: Recipe, tmp_path: Path) -> None:
    strict = replace(recipe, metric="mse", max_drop=0.0, evaluation=str(save_npz(tmp_path / "plain.npz", x=images(40, seed=9))))
    with pytest.raises(GateError):
        compiled(strict, remembered(tmp_path / "cache"))
    assert done_again(compiled(replace(strict, max_drop=100.0), remembered(tmp_path / "cache"))) == {GOLDEN}


def test_every_entry_may_be_damaged_and_the_bundle_is_the_same(
    first_time: tuple[Recipe, Path, Compiled], recipe: Recipe, tmp_path: Path
) -> None:
    original, _, first = first_time
    for entry in (tmp_path / "cache").iterdir():
        raw = bytearray(entry.read_bytes())
        raw[len(raw) * 2 // 3] ^= 1
        entry.write_bytes(raw)
    assert done_again(compiled(recipe, remembered(tmp_path / "cache"))) == done_again(first)
    assert content(recipe.output) == content(original.output)


def test_samples_that_change_under_way_are_refused_and_not_remembered_as_what_they_were(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    image = TensorSpec(name="image", datatype="FP32", shape=(1, 3, 8, 8))
    found = survey(NpzSource(save_npz(file, x=images(5, seed=1)), ("image",)), Interface((image,), ()), Preprocess())
    assert len(list(found.shown())) == 5
    for rows in (images(5, seed=2), images(4, seed=1), images(6, seed=1)):
        save_npz(file, x=rows)
        with pytest.raises(DataError, match=r"the same .*until the end"):
            list(found.shown())
        with pytest.raises(DataError, match=r"the same .*until the end"):
            found.raw_at([0])


METRIC = "def judge(result, label):\n    return float({})\n"


def command_in(folder: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "cli", *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
    )


def test_what_calls_the_users_own_code_is_never_taken_from_the_cache(tmp_path: Path) -> None:
    command = [*digits_command(tmp_path / "bundle", "--target", "cpu"), "--metric", "mine:judge", "--cache", "cache", "--max-drop", "9"]
    (tmp_path / "mine.py").write_text(METRIC.format("result.argmax() == label"))
    command_in(tmp_path, *command)
    (tmp_path / "mine.py").write_text(METRIC.format("4 + 0 * result.argmax()"))
    printed = command_in(tmp_path, *command).stdout
    assert " 4 " in printed
    assert "done now: evaluation float, evaluation cpu, intervals cpu." in " ".join(printed.split())


def test_two_compilations_at_once_share_a_cache_and_write_the_same(tmp_path: Path) -> None:
    commands = [digits_command(tmp_path / name, "--target", "rpi5", "--cache", str(tmp_path / "cache")) for name in ("a", "b")]
    both = [
        subprocess.Popen([sys.executable, "-m", "cli", *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    try:
        assert [(process.communicate(timeout=250)[1], process.returncode) for process in both] == [("", 0), ("", 0)]
    finally:
        for process in both:
            process.kill()
            process.wait(timeout=10)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_the_terminal_says_what_was_done_now_and_which_times_are_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = digits_command(tmp_path / "bundle", "--cache", str(tmp_path / "cache"), "--target", "rpi5")
    _, printed, _ = run(command, capsys)
    assert "from the cache" not in printed
    assert "measured earlier" not in printed
    _, printed, _ = run([*command, "--target", "cpu"], capsys)
    told = " ".join(printed.split())
    assert "from the cache: 11 of 15 steps; done now: lowering cpu, evaluation cpu, tolerance cpu, layers cpu" in told
    assert "ms* (* measured earlier); devices differ." not in told
    assert "(* measured earlier); devices differ." in told


def test_a_cache_that_cannot_be_used_costs_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    status, _, complaint = run(digits_command(tmp_path / "bundle", "--target", "cpu", "--cache", str(tmp_path / "file")), capsys)
    assert status == 0
    assert complaint.startswith(f"warning: cache {tmp_path}/file: File exists; compiling without it (--cache DIR names another place")
    assert complaint.count("\n") == 1


def test_no_cache_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert run(digits_command(tmp_path / "bundle", "--target", "cpu", "--no-cache"), capsys)[0] == 0
    assert not (tmp_path / "home").exists()
    assert run(digits_command(tmp_path / "bundle", "--target", "cpu"), capsys)[0] == 0
    assert list((tmp_path / "home" / "fieldfare" / "compile").iterdir())


def test_both_options_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, complaint = run(digits_command(tmp_path / "bundle", "--target", "cpu", "--cache", "here", "--no-cache"), capsys)
    assert (status, complaint) == (2, "error: --cache: here: expected --cache or --no-cache, found both\n")
    assert list(tmp_path.iterdir()) == []
