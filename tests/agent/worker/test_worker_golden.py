"""When a device computes what the compiler computed, and how it says where it does not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from agent.runtimes.port import Arrays
from agent.worker.errors import SetupError
from agent.worker.golden import GoldenSet, Verdict, read_golden, run_golden
from contracts.manifest import Tolerance
from tests.sim.tiny_release import RAW, SCORES, TinyRelease, npz

EXPECTED = np.array([[0.1, 0.9], [0.49, 0.51]], np.float32)


def judge(found: Arrays, *, absolute: float = 0.1, same_argmax: bool = False) -> Verdict:
    """Run a golden set of two samples on a device that answers with the rows of `found`."""
    golden = GoldenSet({"x": np.array([[0], [1]], np.uint8)}, {"a": EXPECTED, "b": EXPECTED}, samples=2)
    tolerance = Tolerance(absolute=absolute, same_argmax=same_argmax)
    return run_golden(lambda sample: {name: values[sample["x"].reshape(-1)] for name, values in found.items()}, golden, tolerance)


def test_outputs_within_the_tolerance_pass_and_the_largest_difference_is_told() -> None:
    verdict = judge({"a": EXPECTED + np.float32(0.05), "b": EXPECTED})

    assert verdict.passed
    assert verdict.samples == 2
    assert verdict.error == pytest.approx(0.05, abs=1e-6)
    assert verdict.reason == ""


def test_the_first_value_that_strays_is_named_and_the_worst_is_measured() -> None:
    found = EXPECTED.copy()
    found[0, 1], found[1, 0] = 0.5, -9.0

    verdict = judge({"a": EXPECTED, "b": found})

    assert not verdict.passed
    assert verdict.reason == "golden sample 0, output b: value 1: expected 0.9, found 0.5, tolerance 0.1"
    assert verdict.error == pytest.approx(9.49)


def test_a_class_that_moved_is_refused_only_where_classes_must_stay() -> None:
    moved = EXPECTED[:, ::-1][[1, 1]]
    moved[0] = EXPECTED[0]

    assert judge({"a": moved, "b": EXPECTED}).passed
    assert judge({"a": EXPECTED, "b": moved}, same_argmax=True).passed
    verdict = judge({"a": moved, "b": EXPECTED}, same_argmax=True)
    assert verdict.reason == "golden sample 1, output a: expected class 1 on top, found class 0"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_fails_and_its_error_is_finite(value: float) -> None:
    verdict = judge({"a": np.full_like(EXPECTED, value), "b": EXPECTED}, absolute=1e30)

    assert not verdict.passed
    assert verdict.error == sys.float_info.max
    assert str(value) in verdict.reason


def test_an_output_of_another_size_fails() -> None:
    verdict = judge({"a": EXPECTED[:, :1], "b": EXPECTED})

    assert verdict.reason == "golden sample 0, output a: expected 2 values, found 1, tolerance 0.1"


@pytest.mark.parametrize(
    ("file", "raw", "reason"),
    [
        ("golden/cpu.npz", b"no archive", "with arrays scores"),
        ("golden/inputs.npz", npz({"picture": np.zeros((4, 4, 4), np.uint8)}), "with arrays image"),
        ("golden/inputs.npz", npz({RAW.name: np.zeros((4, 4, 5), np.uint8)}), r"image of samples shaped \[4, 4\]"),
        ("golden/cpu.npz", npz({SCORES.name: np.zeros((3, 3), np.float32)}), r"found \[3, 4\]"),
        ("golden/cpu.npz", npz({SCORES.name: np.float32(3)}), "samples shaped"),
    ],
)
def test_golden_files_that_do_not_belong_to_the_model_are_named(tmp_path: Path, file: str, raw: bytes, reason: str) -> None:
    manifest = TinyRelease().write(tmp_path / "release")
    (tmp_path / "release" / file).write_bytes(raw)

    with pytest.raises(SetupError, match=reason) as error:
        read_golden(tmp_path / "release", manifest, manifest.artifacts["cpu"])

    assert "golden/" in str(error.value)
