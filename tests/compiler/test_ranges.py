"""Histograms that do not grow, and calibrators that choose the range they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from compiler.errors import DataError
from compiler.quantize.histogram import HALF_BINS, Histogram
from compiler.quantize.observe import Observer
from compiler.quantize.ranges import CALIBRATORS, HEADROOM, entropy, least_error, minmax, percentile
from tests.compiler.graphs import Floats, graph, node, noise


def seen(values: npt.NDArray[Any]) -> Histogram:
    return Histogram.of(values.astype(np.float32))


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 700.0, 1e30])
def test_every_value_lies_in_the_bin_that_counts_it(scale: float) -> None:
    values = noise(1000) * np.float32(scale)
    histogram = seen(values)
    counted, _ = np.histogram(values.astype(np.float64), histogram.edges)
    assert np.array_equal(counted, histogram.counts)
    assert histogram.counts.sum() == 1000
    assert (histogram.low, histogram.high) == (float(values.min()), float(values.max()))


def test_at_least_half_of_one_side_is_in_use() -> None:
    for reach in (1.0, 1.5, 1.999, 2.0):
        histogram = seen(np.array([0.0, reach]))
        assert HALF_BINS + HALF_BINS // 2 <= int(np.flatnonzero(histogram.counts).max()) < 2 * HALF_BINS


@pytest.mark.parametrize("scale", [1e-9, 0.01, 1.0, 40.0, 1e9])
def test_merging_counts_as_if_all_had_been_seen_together(scale: float) -> None:
    first, second = noise(500, seed=1), noise(500, seed=2) * np.float32(scale)
    together = seen(np.concatenate([first, second]))
    for merged in (seen(first).merged(seen(second)), seen(second).merged(seen(first))):
        assert np.array_equal(merged.counts, together.counts)
        assert (merged.low, merged.high, merged.exponent) == (together.low, together.high, together.exponent)


def test_a_tensor_of_zeros_is_counted_and_merges() -> None:
    merged = seen(np.zeros(10)).merged(seen(np.array([-1.0, 3.0])))
    assert (merged.low, merged.high, merged.counts.sum()) == (-1.0, 3.0, 12)


def relu_model() -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(graph([node("Relu", "x", "r"), node("Mul", "r k", "y")], (1, 64), {"k": 2.0}))


def test_what_an_observer_keeps_does_not_grow_with_the_samples() -> None:
    observer = Observer(relu_model(), ["x", "r", "y"])
    counted: dict[str, Histogram] = {}
    sizes = set()
    for number in range(50):
        observer.see({"x": noise(1, 64, seed=number) * np.float32(number + 1)}, counted)
        sizes.add(sum(histogram.counts.nbytes for histogram in counted.values()))
    assert len(sizes) == 1
    assert {name: int(histogram.counts.sum()) for name, histogram in counted.items()} == {"x": 3200, "r": 3200, "y": 3200}


def test_a_model_is_run_in_parts_when_its_tensors_would_fill_the_memory() -> None:
    whole, parts = Observer(relu_model(), ["x", "r", "y"]), Observer(relu_model(), ["x", "r", "y"], max_held_bytes=300)  # each has 256
    at_once: dict[str, Histogram] = {}
    in_turn: dict[str, Histogram] = {}
    whole.see({"x": noise(1, 64)}, at_once)
    parts.see({"x": noise(1, 64)}, in_turn)
    assert (whole.parts, parts.parts) == (1, 2)
    for name, histogram in at_once.items():
        assert np.array_equal(histogram.counts, in_turn[name].counts)


def test_a_float_model_that_gives_no_number_is_refused_with_the_tensor() -> None:
    model = onnx.shape_inference.infer_shapes(graph([node("Log", "x", "l"), node("Relu", "l", "y")], (1, 4), {}))
    with pytest.raises(DataError, match="calibration samples: tensor l: expected finite values in the float model, found inf or nan"):
        Observer(model, ["x", "l"]).see({"x": -np.ones((1, 4), np.float32)}, {})


def test_minmax_keeps_every_value() -> None:
    assert minmax(seen(np.array([-3.0, 0.5, 7.0]))) == (-3.0, 7.0)


def test_a_percentile_cuts_rare_values_off_each_side_alone() -> None:
    values = np.concatenate([noise(100_000).clip(-3, 3), [500.0]])
    low, high = percentile(seen(values), 0.999)
    assert low == pytest.approx(np.quantile(values, 0.001), abs=1)  # bins are as wide as the outlier makes them
    assert 2.5 < high < 4
    assert percentile(seen(noise(1000)), 1.0) == minmax(seen(noise(1000)))


def test_a_percentile_of_positive_values_leaves_zero_as_the_lower_end() -> None:
    low, high = percentile(seen(np.abs(noise(10_000)) + 1), 0.999)
    assert low >= 0
    assert 3 < high <= 5


def squared_error(values: Floats, low: float, high: float) -> float:
    step = (high - low) / 255
    return float(np.square(np.clip(np.rint(values / step), np.rint(low / step), np.rint(high / step)) * step - values).mean())


@pytest.mark.parametrize("outlier", [5.0, 12.0, 60.0])
def test_the_least_error_is_that_of_no_other_range(outlier: float) -> None:
    values = np.concatenate([noise(20_000), [outlier, -outlier / 2]]).astype(np.float32)
    low, high = least_error(seen(values))
    best = squared_error(values, low, high)
    others = [(low * factor, high * other) for factor in (0.7, 1.0, 1.4) for other in (0.7, 1.0, 1.4)]
    assert best <= min(squared_error(values, *ends) for ends in others) * 1.02
    assert best <= squared_error(values, *minmax(seen(values)))


def test_entropy_keeps_an_even_spread_and_cuts_a_long_tail() -> None:
    even = np.random.default_rng(0).uniform(-1, 1, 50_000)
    assert entropy(seen(even)).high > 0.9
    tail = np.concatenate([noise(50_000), [40.0]])
    assert entropy(seen(tail)).high < 20


def random_values(seed: int) -> Floats:
    """Return values as activations are: of one sign or both, some with a long tail, some mostly zero."""
    random = np.random.default_rng(seed)
    values = random.standard_t(2 + seed % 3, 4000) if seed % 2 else random.normal(size=4000)
    values = np.maximum(values, 0) if seed % 3 == 0 else values + random.uniform(-1, 1)
    return np.asarray(values * 10.0 ** random.uniform(-3, 3), np.float32)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [0.99, 0.999])
def test_a_percentile_is_that_of_the_sorted_values_but_for_a_bin(seed: int, share: float) -> None:
    values = np.sort(random_values(seed))
    low, high = percentile(seen(values), share)
    beyond = int((1 - share) * len(values))
    width = seen(values).width
    assert high == pytest.approx(max(values[-1 - beyond], 0.0), abs=width)
    assert low == pytest.approx(min(values[beyond], 0.0), abs=width)


@pytest.mark.parametrize("seed", range(8))
def test_no_pair_of_ends_has_a_smaller_squared_error(seed: int) -> None:
    values = random_values(seed)
    found = squared_error(values, *least_error(seen(values)))
    reach = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    pairs = [(reach[0] * part, reach[1] * other) for part in np.linspace(0.04, 1, 25) for other in np.linspace(0.04, 1, 25)]
    assert found <= min(squared_error(values, low, high) for low, high in pairs) * 1.05


@pytest.mark.parametrize("seed", range(8))
def test_entropy_chooses_the_cut_with_the_least_divergence(seed: int) -> None:
    """The same by its definition, a bin at a time."""
    histogram = seen(random_values(seed))
    magnitudes = [float(histogram.counts[HALF_BINS + place] + histogram.counts[HALF_BINS - 1 - place]) for place in range(HALF_BINS)]
    magnitudes[0] = 0.0
    used = max(place for place, count in enumerate(magnitudes) if count) + 1
    cuts = sorted({int(cut) for cut in np.linspace(min(128, used), used, 128)})
    best = min(cuts, key=lambda cut: divergence(magnitudes, cut))
    reach = entropy(histogram)
    assert max(-reach.low, reach.high) == pytest.approx(min(best * histogram.width, max(-histogram.low, histogram.high)))


def divergence(magnitudes: list[float], cut: int) -> float:
    wanted = magnitudes[:cut]
    wanted[-1] += sum(magnitudes[cut:])
    shown = [0.0] * cut
    for level in range(128):
        places = [place for place in range(level * cut // 128, (level + 1) * cut // 128) if magnitudes[place] > 0]
        for place in places:
            shown[place] = sum(magnitudes[other] for other in places) / len(places)
    mass, image = sum(wanted), sum(shown)
    terms = zip(wanted, shown, strict=True)
    return sum(p / mass * np.log(p / mass / max(q / image, 1e-9)) for p, q in terms if p > 0) if image else np.inf


@pytest.mark.parametrize("name", CALIBRATORS)
@pytest.mark.parametrize("values", [np.zeros(4), np.full(4, 5.0), np.full(4, -5.0), np.array([1e-20]), np.array([-1.0, 1e6])])
def test_no_calibrator_leaves_what_was_seen_or_fails_on_strange_tensors(name: str, values: Floats) -> None:
    low, high = CALIBRATORS[name](seen(values))
    reach = HEADROOM if name == "headroom" else 1.001
    assert min(0.0, float(values.min())) * reach <= low <= high <= max(0.0, float(values.max())) * reach
