"""The published anomaly detector in int8: what it gives back, and how well it tells anomalies, beside the float model."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter

from compiler.graph.index import GraphIndex
from compiler.graph.normalise import normalise
from compiler.importers.onnx import import_onnx
from compiler.lower.tflite import TfliteForm, to_tflite
from compiler.quantize.bottleneck import is_autoencoder
from compiler.quantize.calibrate import Calibration, calibrate
from compiler.quantize.observe import open_session
from tests.compiler.graphs import graph, node, noise
from tests.compiler.tflite.lite import as_stored, real
from tests.shared_data import shared_file
from tests.sim.machine_sounds import Machines, Model, Vectors, auc, smooth_spectra

INPUT = "input_1"


@cache
def detector() -> onnx.ModelProto:
    return normalise(import_onnx(shared_file("ad01/derived_autoencoder_float.onnx")))


def in_float() -> Model:
    session = open_session(detector())
    return lambda vectors: np.concatenate([session.run(None, {INPUT: vector[None]})[0] for vector in vectors])


def in_int8(file: bytes) -> Model:
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def answer(vector: Vectors) -> Vectors:
        interpreter.set_tensor(source["index"], as_stored(vector[None], source))
        interpreter.invoke()
        return real(interpreter.get_tensor(result["index"]), result)

    return lambda vectors: np.concatenate([answer(vector) for vector in vectors])


def calibrated(vectors: Vectors) -> Calibration:
    return calibrate(detector(), ({INPUT: vector[None]} for vector in vectors), len(vectors))


def compiled(vectors: Vectors) -> Model:
    return in_int8(to_tflite(detector(), calibrated(vectors).plan, TfliteForm()))


def error(model: Model, vectors: Vectors) -> float:
    return float(np.square(vectors - model(vectors)).mean())


@pytest.mark.parametrize("levels_db", [(-10.0, 40.0), (-80.0, 0.0), (-60.0, 20.0)])
def test_spectra_come_back_with_the_same_error(levels_db: tuple[float, float]) -> None:
    compiled_model = compiled(smooth_spectra(120, 1, *levels_db))
    unseen = smooth_spectra(120, 2, *levels_db)
    assert error(compiled_model, unseen) == pytest.approx(error(in_float(), unseen), rel=0.03)


def test_anomalies_are_told_as_well_as_in_float_and_better_than_by_the_published_int8_model() -> None:
    whole, machines = in_float(), Machines(in_float(), seed=20)
    calibration = np.concatenate([machines.clip(machines.spectra, frames=12)[::4] for _ in range(100)])
    published = in_int8(shared_file("ad01/autoencoder_int8_ref.tflite").read_bytes())
    models = {"float": whole, "int8": compiled(calibration), "published": published}
    found: dict[str, list[float]] = {name: [] for name in models}
    errors: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(6):
        spectra = machines.neighbours()
        recordings = [[machines.clip(spectra, anomaly_db, frames=24) for _ in range(24)] for anomaly_db in (0.0, 8.0)]
        for name, model in models.items():
            normal, anomalous = ([error(model, clip) for clip in clips] for clips in recordings)
            found[name].append(auc(normal, anomalous))
            errors[name] += normal + anomalous
    drops = {name: float(np.mean(found["float"]) - np.mean(found[name])) for name in models}
    apart = {name: np.asarray(errors[name]) / np.asarray(errors["float"]) - 1 for name in models}
    assert 0.65 < np.mean(found["float"]) < 0.98, "the recordings are neither trivial nor hopeless"
    assert drops["int8"] <= 0.010
    assert abs(np.mean(apart["int8"])) <= 0.03
    assert np.std(apart["int8"]) < np.std(apart["published"]) / 3


def test_rounding_for_the_layers_sake_beats_rounding_to_the_nearest() -> None:
    vectors, unseen = smooth_spectra(120, 1, -80, 0), smooth_spectra(60, 2, -80, 0)
    plan = calibrated(vectors).plan
    nearest = {name: weights.model_copy(update={"upward": None}) for name, weights in plan.weights.items()}
    expected = in_float()(unseen)
    plans = (plan, plan.model_copy(update={"weights": nearest}))
    apart = [np.square(in_int8(to_tflite(detector(), each, TfliteForm()))(unseen) - expected).mean() for each in plans]
    assert apart[0] < apart[1] / 2


def test_nothing_that_calibration_showed_is_cut_off_and_a_quarter_more_is_kept() -> None:
    vectors = smooth_spectra(40, 1, -80, 0)
    found = calibrated(vectors)
    span = found.plan.activations[INPUT]
    assert found.calibrator == "headroom"
    assert (span.low, span.high) == pytest.approx((1.25 * vectors.min(), 1.25 * vectors.max()))


def test_an_autoencoder_is_one_by_its_bottleneck() -> None:
    narrow = [node("Gemm", "x a", "h"), node("Relu", "h", "r"), node("Gemm", "r b", "y")]
    weights = {"a": noise(32, 4), "b": noise(4, 32)}
    assert is_autoencoder(GraphIndex(normalise(graph(narrow, (1, 32), weights))))
    wide = {"a": noise(32, 16), "b": noise(16, 32)}
    assert not is_autoencoder(GraphIndex(normalise(graph(narrow, (1, 32), wide))))
    skipped = [*narrow[:2], node("Gemm", "r b", "d"), node("Add", "d x", "y")]
    assert not is_autoencoder(GraphIndex(normalise(graph(skipped, (1, 32), weights))))
    classifier = [node("Gemm", "x a", "y")]
    assert not is_autoencoder(GraphIndex(normalise(graph(classifier, (1, 32), {"a": noise(32, 4)}))))
