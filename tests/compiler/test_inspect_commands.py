"""The commands inspect, bench and compare: what they find, in tables for people and as JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from compiler.inspect.distance import distance
from compiler.inspect.network import Network, Step, Value
from tests.compiler.flat_models import Flat
from tests.compiler.graphs import graph, node
from tests.compiler.material import DIGITS, classifier, digits_command, run, save_npz
from tests.shared_data import shared_file

Printed = pytest.CaptureFixture[str]
FLOAT = 4  # bytes


def document(arguments: list[str], capsys: Printed) -> dict[str, Any]:
    status, printed, complaint = run([*arguments, "--json"], capsys)
    assert (status, complaint) == (0, "")
    found = json.loads(printed)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(classifier(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def bundle(tmp_path: Path, capsys: Printed) -> Path:
    status, _, complaint = run(digits_command(tmp_path / "digits-1", "--target", "cpu", "--target", "rpi5", "--max-drop", "0.5"), capsys)
    assert (status, complaint) == (0, "")
    return tmp_path / "digits-1"


def flat_classifier(folder: Path) -> Path:
    """Write the classifier of `material` as LiteRT knows it: the same weights, channels last."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in classifier().graph.initializer}
    flat = Flat()
    shapes = {"image": (1, 8, 8, 3), "convolved": (1, 8, 8, 8), "pooled": (1, 8), "scores": (1, 4)}
    image, convolved, pooled, scores = (flat.value(name, shape) for name, shape in shapes.items())
    constants = [flat.constant(weights["kernel"].transpose(0, 2, 3, 1)), flat.constant(weights["bias"])]
    flat.operate("CONV_2D", [image, *constants], [convolved], "Conv2DOptions", strideH=1, strideW=1, fusedActivationFunction=1)
    flat.operate("MEAN", [convolved, flat.constant(np.array([1, 2], np.int32))], [pooled], "ReducerOptions")
    dense = [flat.constant(weights["dense"].T), flat.constant(weights["offset"])]
    flat.operate("FULLY_CONNECTED", [pooled, *dense], [scores], "FullyConnectedOptions")
    return flat.write(folder / "model.tflite", [image], [scores])


def test_inspect_counts_what_a_graph_holds(model: Path, capsys: Printed) -> None:
    found = document(["inspect", str(model)], capsys)
    assert found["inputs"] == [{"name": "image", "datatype": "FLOAT", "shape": [1, 3, 8, 8]}]
    assert found["outputs"] == [{"name": "scores", "datatype": "FLOAT", "shape": [1, 4]}]
    assert found["operators"] == {"Conv": 1, "Flatten": 1, "Gemm": 1, "GlobalAveragePool": 1, "Relu": 1}
    parameters = 8 * 3 * 9 + 8 + 8 * 4 + 4
    assert (found["parameters"], found["parameter_bytes"]) == (parameters, parameters * FLOAT)
    assert found["macs"] == 64 * 8 * 3 * 9 + 8 * 4
    assert found["peak_activations"] == {"bytes": 2 * 64 * 8 * FLOAT, "step": "Relu 1", "op": "Relu"}
    assert (found["quantized"], found["refusal"], found["notes"]) == (None, None, [])


def test_inspect_counts_the_same_in_a_flat_file(tmp_path: Path, model: Path, capsys: Printed) -> None:
    of_graph = document(["inspect", str(model)], capsys)
    found = document(["inspect", str(flat_classifier(tmp_path))], capsys)
    for key in ("parameters", "parameter_bytes", "macs"):
        assert found[key] == of_graph[key]
    assert found["operators"] == {"CONV_2D": 1, "FULLY_CONNECTED": 1, "MEAN": 1}
    assert found["peak_activations"]["bytes"] == (64 * 8 + 64 * 3) * FLOAT


def test_inspect_says_where_each_target_runs_what(model: Path, capsys: Printed) -> None:
    targets = document(["inspect", str(model)], capsys)["targets"]
    assert {"coral", "cpu", "jetson-nano", "jetson-orin", "rpi5"} <= set(targets)
    assert targets["cpu"]["integer"]["Conv"] == 1
    assert targets["cpu"]["other"] == {}
    assert targets["jetson-nano"]["integer"] == {}
    assert targets["jetson-nano"]["elsewhere"] == "fp16"


def test_inspect_says_what_an_edge_tpu_would_run_of_the_file_that_would_be_written(model: Path, capsys: Printed) -> None:
    coral = document(["inspect", str(model)], capsys)["targets"]["coral"]
    assert coral["integer"] == {"CONV_2D": 1, "FULLY_CONNECTED": 1, "MEAN": 1, "RESHAPE": 1, "TRANSPOSE": 1}
    assert [one["where"] for one in coral["edge_tpu"]["operators"]] == ["tpu"] * 5
    assert (coral["refusal"], coral["other"]) == (None, {})


def test_inspect_asks_the_lowerings_themselves_which_operators_they_have(tmp_path: Path, capsys: Printed) -> None:
    branching = classifier((1, 3, 8, 8))
    for place, kind in ((1, "Erf"), (2, "GlobalMaxPool")):
        branching.graph.node[place].op_type = kind
    onnx.save(branching, tmp_path / "model.onnx")
    targets = document(["inspect", str(tmp_path / "model.onnx")], capsys)["targets"]
    assert "Erf" in targets["coral"]["refusal"]
    assert targets["coral"]["other"] == {"Erf": 1}
    assert targets["cpu"]["other"] == {"Erf": 1}
    # What follows an operator that cannot be lowered is looked at all the same.
    assert set(targets["coral"]["integer"]) == {"Conv", "Flatten", "Gemm", "GlobalMaxPool"}


def test_inspect_knows_sizes_only_by_the_option(tmp_path: Path, capsys: Printed) -> None:
    onnx.save(classifier(("batch", 3, "height", 8)), tmp_path / "model.onnx")
    found = document(["inspect", str(tmp_path / "model.onnx")], capsys)
    assert found["inputs"][0]["shape"] == [1, 3, None, 8]
    assert (found["macs"], found["peak_activations"]) == (None, None)
    assert "--shape" in found["refusal"]
    settled = document(["inspect", str(tmp_path / "model.onnx"), "--shape", "image=1x3x8x8"], capsys)
    assert (settled["macs"], settled["refusal"]) == (64 * 8 * 3 * 9 + 8 * 4, None)


def test_inspect_shows_an_integer_file_though_it_cannot_be_compiled(capsys: Printed) -> None:
    found = document(["inspect", str(shared_file("kws01/dscnn_int8_ref.tflite"))], capsys)
    assert found["quantized"]["datatypes"] == {"INT8": 10}
    assert found["macs"] == 2656768
    assert found["refusal"].startswith("graph: expected a float model")
    assert found["targets"] == {}
    assert {one["where"] for one in found["edge_tpu"]["operators"]} == {"tpu"}


def test_inspect_shows_the_verdicts_on_a_file_of_an_edge_tpu_for_people(capsys: Printed) -> None:
    file = shared_file("edgetpu_twins/deeplab_mobilenet_edgetpu_slim_cityscapes_quant.tflite")
    status, printed, _ = run(["inspect", str(file)], capsys)
    assert status == 0
    assert "82 of 84 operators should run on the Edge TPU, 2 on the CPU" in printed
    assert "CPU: ARG_MAX ArgMax: it is not among the operators that an Edge TPU runs" in printed


def test_inspect_shows_a_graph_whose_sizes_depend_on_values_and_why_it_cannot_be_compiled(tmp_path: Path, capsys: Printed) -> None:
    nodes = [node("Relu", "x", "r"), node("NonZero", "r", "n"), node("Cast", "n", "y", to=1)]
    onnx.save(graph(nodes, (1, 4), {}), tmp_path / "model.onnx")
    found = document(["inspect", str(tmp_path / "model.onnx")], capsys)
    assert found["operators"] == {"Cast": 1, "NonZero": 1, "Relu": 1}
    assert "end the model before it" in found["refusal"]
    assert found["targets"] == {}


def test_inspect_shows_every_artifact_of_a_bundle(bundle: Path, capsys: Printed) -> None:
    found = document(["inspect", str(bundle)], capsys)
    assert set(found) == {"cpu", "rpi5"}
    assert found["rpi5"]["quantized"]["datatypes"]["INT8"] > 0


def test_inspect_refuses_a_bundle_that_was_touched(bundle: Path, capsys: Printed) -> None:
    file = bundle / "artifacts" / "cpu" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    status, _, complaint = run(["inspect", str(bundle)], capsys)
    assert status == 2
    assert "expected sha256" in complaint


def test_inspect_prints_tables_for_people(model: Path, capsys: Printed) -> None:
    status, printed, _ = run(["inspect", str(model)], capsys)
    assert status == 0
    for text in ("image FLOAT [1, 3, 8, 8]", "260 in 1.04 kB", "13.9 k", "ort-u8s8", "tensorrt-fp16"):
        assert text in printed


def test_memory_is_counted_as_long_as_a_value_is_needed() -> None:
    values = {name: Value("FLOAT", (size,), 8) for name, size in {"x": 100, "a": 10, "b": 20, "view": 20, "y": 5}.items()}
    steps = (
        Step("first", "Shrink", ("x",), ("a",), 0, False),
        Step("second", "Grow", ("a",), ("b",), 0, False),
        Step("third", "Reshape", ("b",), ("view",), 0, True),
        Step("fourth", "Add", ("view", "x"), ("y",), 0, False),
    )
    network = Network("test", ("x",), ("y",), values, frozenset(), frozenset(), steps)
    peak = network.peak()
    assert peak is not None
    assert (peak.bytes, peak.step) == (130, "second")  # x is needed to the end, the view takes no place of its own


def test_bench_measures_each_number_of_threads(model: Path, capsys: Printed) -> None:
    found = document(["bench", str(model), "--threads", "1", "--threads", "2", "--runs", "20"], capsys)
    assert found["host"]["cores"] >= 1
    assert [row["threads"] for row in found["rows"]] == [1, 2]
    for row in found["rows"]:
        assert row["runtime"].startswith("onnxruntime ")
        assert row["runs"] == 20
        assert 0 < row["min_ms"] <= row["p50_ms"] <= row["p95_ms"]
        assert 0 < row["model_rss_bytes"] < row["rss_bytes"]


def test_bench_runs_a_flat_file_in_litert(tmp_path: Path, capsys: Printed) -> None:
    rows = document(["bench", str(flat_classifier(tmp_path)), "--threads", "1", "--runs", "5"], capsys)["rows"]
    assert rows[0]["runtime"].startswith("ai-edge-litert ")
    assert rows[0]["artifact"] == "model.tflite"


def test_bench_takes_one_target_of_a_bundle(bundle: Path, capsys: Printed) -> None:
    rows = document(["bench", str(bundle), "--target", "rpi5", "--threads", "1", "--runs", "5"], capsys)["rows"]
    assert [row["artifact"] for row in rows] == ["rpi5"]


def test_bench_says_that_the_numbers_are_this_hosts(model: Path, capsys: Printed) -> None:
    status, printed, _ = run(["bench", str(model), "--threads", "1", "--runs", "5"], capsys)
    assert status == 0
    assert "on this host: " in printed


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--threads", "0"], "--threads: count: expected 1 to 1024, found 0"),
        (["--target", "rpi5"], "--target: bundle: expected a bundle to choose from"),
        (["--shape", "picture=1x3x8x8"], "--shape: expected the name of an input, one of image, found picture"),
    ],
)
def test_bench_refuses_options_that_do_not_fit(more: list[str], complaint: str, model: Path, capsys: Printed) -> None:
    status, _, found = run(["bench", str(model), *more], capsys)
    assert status == 2
    assert complaint in found


def test_compare_finds_no_difference_between_formats(tmp_path: Path, model: Path, capsys: Printed) -> None:
    """The graph takes channels second, the flat file channels last; the same image is given to both."""
    flat = flat_classifier(tmp_path)
    found = document(["compare", str(model), str(flat)], capsys)
    output = found["outputs"][0]
    assert (output["output"], output["argmax_agreement"], found["samples"]) == ("scores", 1.0, 32)
    assert output["max_abs_difference"] < 1e-4
    assert output["sqnr_db"] > 100
    assert output["cosine"] == pytest.approx(1.0)
    assert found["size_ratio"] == pytest.approx(flat.stat().st_size / model.stat().st_size)
    assert found["latency_ratio"] > 0


def test_compare_of_a_model_with_itself_is_equal(model: Path, capsys: Printed) -> None:
    output = document(["compare", str(model), str(model), "--samples", "3"], capsys)["outputs"][0]
    assert (output["max_abs_difference"], output["sqnr_db"], output["argmax_agreement"]) == (0.0, None, 1.0)


def test_compare_ends_with_status_1_when_answers_differ_too_much(tmp_path: Path, model: Path, capsys: Printed) -> None:
    other = classifier()
    offset = next(tensor for tensor in other.graph.initializer if tensor.name == "offset")
    offset.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(offset) + np.float32(0.5), "offset"))
    onnx.save(other, tmp_path / "other.onnx")
    arguments = ["compare", str(model), str(tmp_path / "other.onnx"), "--max-difference"]
    assert run([*arguments, "0.6"], capsys)[0] == 0
    status, printed, complaint = run([*arguments, "0.4"], capsys)
    assert status == 1
    assert "scores" in printed
    assert "output scores: expected a difference of at most 0.4, found 0.5" in complaint


def test_compare_uses_given_samples_as_the_model_takes_them(capsys: Printed) -> None:
    float_file, integer_file = shared_file("kws01/dscnn_float.tflite"), shared_file("kws01/dscnn_int8_ref.tflite")
    data = ["--data", str(shared_file("kws01/eval.npz")), "--preprocess", "mean=83,std=1.71027", "--samples", "100"]
    found = document(["compare", str(float_file), str(integer_file), *data], capsys)
    assert found["samples"] == 100
    assert found["outputs"][0]["argmax_agreement"] >= 0.95
    assert found["outputs"][0]["sqnr_db"] > 20


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"images": np.zeros((4, 3, 8, 8))}, "arrays: expected x, or one for each of image, found none named image"),
        ({"x": np.zeros((4, 3, 8, 7))}, "input image: expected samples of shape [3, 8, 8], found [3, 8, 7]"),
        ({"x": np.zeros((0, 3, 8, 8))}, "arrays: expected numbers, as many samples in each"),
        ({"x": np.array(["a"])}, "arrays: expected numbers"),
    ],
)
def test_compare_refuses_samples_that_do_not_fit(
    arrays: dict[str, Any], complaint: str, tmp_path: Path, model: Path, capsys: Printed
) -> None:
    data = save_npz(tmp_path / "data.npz", **arrays)
    status, _, found = run(["compare", str(model), str(model), "--data", str(data)], capsys)
    assert status == 2
    assert complaint in found


def test_compare_refuses_a_file_of_samples_that_is_none(tmp_path: Path, model: Path, capsys: Printed) -> None:
    (tmp_path / "data.npz").write_bytes(b"PK\x03\x04 cut short")
    status, _, found = run(["compare", str(model), str(model), "--data", str(tmp_path / "data.npz")], capsys)
    assert status == 2
    assert "data.npz: content: expected a whole .npz file" in found


def test_compare_refuses_a_single_array(tmp_path: Path, model: Path, capsys: Printed) -> None:
    np.save(tmp_path / "data.npy", np.zeros((4, 3, 8, 8)))
    status, _, found = run(["compare", str(model), str(model), "--data", str(tmp_path / "data.npy")], capsys)
    assert status == 2
    assert "data.npy: content: expected an .npz file of plain arrays, found a single array" in found


def test_compare_refuses_models_that_take_different_things(model: Path, capsys: Printed) -> None:
    status, _, found = run(["compare", str(model), str(DIGITS / "digits.onnx")], capsys)
    assert status == 2
    assert "digits.onnx: input" in found


def test_what_is_no_number_counts_as_infinitely_far() -> None:
    found = distance("a", "b", np.array([[1.0, np.nan]]), np.array([[1.0, 2.0]]))
    assert found.max_abs_difference > 1e300
    assert found.sqnr_db is None
    assert json.loads(found.model_dump_json())["output"] == "a"


def test_signal_to_noise_is_a_ratio_of_powers() -> None:
    found = distance("a", "b", np.array([[10.0, 0.0]]), np.array([[11.0, 0.0]]))
    assert found.sqnr_db == pytest.approx(20.0)
    assert (found.max_abs_difference, found.mean_abs_difference) == (1.0, 0.5)
