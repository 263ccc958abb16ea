"""The golden set: clear samples of many classes, an honest tolerance, the same bytes."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from compiler.package.golden import GOLDEN_SAMPLES, Closeness, choose, closeness_of, npz_bytes, spread_evenly, tolerance_for


def outputs(classes: list[int], margin: float) -> npt.NDArray[np.float32]:
    """Return rows whose first class is `margin` ahead of all others."""
    rows = np.zeros((len(classes), 5), dtype=np.float32)
    rows[np.arange(len(classes)), classes] = margin
    return rows


def close(absolute: float, count: int, unsteady: tuple[int, ...] = (), step: float = 0.0) -> Closeness:
    """Say how far apart two executions are on `count` candidates."""
    is_steady = np.ones(count, bool)
    is_steady[list(unsteady)] = False
    return Closeness(absolute, {"scores": step} if step else {}, is_steady)


def test_only_samples_are_taken_that_are_clear_on_every_target() -> None:
    clear = outputs([0, 1, 2, 3], 1.0)
    doubtful = outputs([0, 1, 2, 3], 1.0)
    doubtful[1] *= 0.15
    chosen, tolerances = choose({"cpu": clear, "rpi5": doubtful}, {"cpu": close(0.1, 4), "rpi5": close(0.1, 4)})
    assert chosen == [0, 2, 3]
    assert tolerances["rpi5"].same_argmax
    assert tolerances["rpi5"].absolute == 0.1


def test_where_no_sample_is_clear_the_class_is_not_asked_for() -> None:
    chosen, tolerances = choose({"cpu": outputs([0] * 30, 0.1)}, {"cpu": close(0.2, 30)})
    assert chosen == list(range(GOLDEN_SAMPLES))
    assert not tolerances["cpu"].same_argmax


def test_rare_classes_have_their_turn() -> None:
    chosen, _ = choose({"cpu": outputs([0] * 50 + [1, 2, 3, 4], 1.0)}, {"cpu": close(0.1, 54)})
    assert len(chosen) == GOLDEN_SAMPLES
    assert chosen[-4:] == [50, 51, 52, 53]


def test_one_step_is_asked_for_on_samples_on_which_two_kernels_agree_within_one() -> None:
    rows = outputs([0, 1] * 12, 1.0)
    chosen, tolerances = choose({"cpu": rows, "rpi5": rows}, {"cpu": close(0.1, 24), "rpi5": close(0.1, 24, unsteady=(0, 3), step=0.01)})
    assert not {0, 3} & set(chosen)
    assert (tolerances["rpi5"].steps, tolerances["cpu"].steps) == ({"scores": 0.01}, None)
    # And not at all where too few samples would be left
    chosen, tolerances = choose({"rpi5": rows}, {"rpi5": close(0.1, 24, unsteady=tuple(range(12)), step=0.01)})
    assert (len(chosen), tolerances["rpi5"].steps) == (GOLDEN_SAMPLES, None)


def test_a_model_without_classes_is_proved_on_samples_spread_over_those_that_are_steady() -> None:
    chosen, tolerances = spread_evenly(40, {"rpi5": close(0.1, 40, unsteady=(0, 39), step=0.01)})
    assert (chosen[0], chosen[-1], len(chosen)) == (1, 38, GOLDEN_SAMPLES)
    assert tolerances["rpi5"].steps == {"scores": 0.01}
    assert spread_evenly(3, {"cpu": close(0.1, 3)})[0] == [0, 1, 2]


def test_steady_is_what_is_at_most_one_step_apart() -> None:
    answers = [{"scores": np.array([0.10, 0.50], np.float32)}] * 3
    others = [{"scores": np.array([0.10, 0.50 + apart], np.float32)} for apart in (0.0, 0.01, 0.02)]
    found = closeness_of(answers, others, 255, {"scores": 0.01})
    assert found.is_steady.tolist() == [True, True, False]
    assert closeness_of(answers, others, 255, {}).is_steady.all()


def test_the_tolerance_is_never_below_four_steps_of_the_range() -> None:
    values = outputs([0, 1], 2.55)
    assert np.isclose(tolerance_for(values, values, 255), 0.04)


def test_the_tolerance_grows_with_what_two_correct_executions_differ_by() -> None:
    values = outputs([0, 1], 2.55)
    other = values.copy()
    other[0, 3] += 0.5
    assert np.isclose(tolerance_for(values, other, 255), 1.0)


def test_an_archive_has_the_same_bytes_at_another_time_and_numpy_reads_it() -> None:
    arrays: dict[str, npt.NDArray[Any]] = {"file": np.arange(6, dtype=np.uint8).reshape(2, 3), "input.1": np.ones((2, 2), dtype=np.float32)}
    first = npz_bytes(arrays)
    time.sleep(2.1)  # a zip file notes times in steps of two seconds
    assert npz_bytes(dict(reversed(arrays.items()))) == first
    with np.load(io.BytesIO(first), allow_pickle=False) as archive:
        assert {name: archive[name].tolist() for name in archive.files} == {name: array.tolist() for name, array in arrays.items()}
        assert archive["file"].dtype == np.uint8
