"""A device's postprocess must make of the compiler's outputs what the compiler made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.worker.errors import SetupError
from agent.worker.golden import check_results, read_golden
from contracts.manifest import Artifact, Manifest
from contracts.postprocess import Classes
from tests.sim.tiny_release import SCORES, TinyRelease, npz

RULE = Classes(threshold=0.5)


def release(folder: Path) -> tuple[Manifest, Artifact]:
    manifest = TinyRelease().write(folder)
    artifact = manifest.artifacts["cpu"].model_copy(update={"golden_results": "golden/cpu.results.npz"})
    return manifest.model_copy(update={"postprocess": RULE}), artifact


def results(folder: Path, manifest: Manifest, artifact: Artifact) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    outputs = read_golden(folder, manifest, artifact).outputs[SCORES.name]
    made = [RULE.apply({SCORES.name: row[None]}) for row in outputs]
    return {name: np.concatenate([one[name] for one in made]) for name in made[0]}


def test_the_same_results_pass(tmp_path: Path) -> None:
    manifest, artifact = release(tmp_path)
    (tmp_path / "golden" / "cpu.results.npz").write_bytes(npz(results(tmp_path, manifest, artifact)))
    assert check_results(tmp_path, manifest, artifact, read_golden(tmp_path, manifest, artifact)) == ""


def test_another_result_is_named(tmp_path: Path) -> None:
    manifest, artifact = release(tmp_path)
    made = results(tmp_path, manifest, artifact)
    made["class"] = np.array([7, *made["class"][1:]])
    (tmp_path / "golden" / "cpu.results.npz").write_bytes(npz(made))
    reason = check_results(tmp_path, manifest, artifact, read_golden(tmp_path, manifest, artifact))
    assert reason.startswith("golden sample 0, result class: value 0: expected 7, found ")


def test_results_that_are_missing_or_of_another_shape_are_no_release(tmp_path: Path) -> None:
    manifest, artifact = release(tmp_path)
    golden = read_golden(tmp_path, manifest, artifact)
    with pytest.raises(SetupError, match="of results"):
        check_results(tmp_path, manifest, artifact, golden)
    (tmp_path / "golden" / "cpu.results.npz").write_bytes(npz({"class": np.zeros(1, np.int64)}))
    with pytest.raises(SetupError, match="scores of"):
        check_results(tmp_path, manifest, artifact, golden)


def test_a_release_without_a_postprocess_has_nothing_to_check(tmp_path: Path) -> None:
    manifest = TinyRelease().write(tmp_path)
    artifact = manifest.artifacts["cpu"]
    assert check_results(tmp_path, manifest, artifact, read_golden(tmp_path, manifest, artifact)) == ""
