"""From file to normal form to lowered graph: what each stage promises about the graph it hands on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.errors import ModelError
from compiler.evaluate.runner import RunError, Runner
from compiler.graph.interface import interface_of
from compiler.graph.normalise import normalise, sealed
from compiler.importers.onnx import import_onnx
from compiler.importers.upgrade import MIN_OPSET
from compiler.lower import lower
from compiler.quantize.calibrate import calibrate
from compiler.quantize.plan import Plan
from compiler.targets import TargetProfile, load_profile, target_names
from tests.compiler.material import classifier, images

FLOATS: npt.NDArray[np.float32] = images(40, seed=9).astype(np.float32)[:, None] / np.float32(255)


def imported(folder: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    onnx.save(model, folder / "model.onnx")
    return import_onnx(folder / "model.onnx")


def answers(model: bytes, options: dict[str, str] | None = None) -> npt.NDArray[np.float32]:
    return Runner("test", model, options or {}).run(FLOATS)


def lowered(folder: Path, target: str) -> onnx.ModelProto:
    model = normalise(imported(folder, classifier()))
    return onnx.load_from_string(lower(load_profile(target), model, planned(model)))


def planned(model: onnx.ModelProto) -> Plan:
    return calibrate(model, ({"image": sample} for sample in FLOATS), len(FLOATS), "minmax").plan


def constants(model: onnx.ModelProto) -> dict[str, npt.NDArray[np.generic]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_a_free_batch_becomes_one(tmp_path: Path) -> None:
    interface = interface_of(imported(tmp_path, classifier(("batch", 3, 8, 8))), tmp_path / "model.onnx")
    assert (interface.input.name, interface.input.shape) == ("image", (1, 3, 8, 8))
    assert (interface.output.name, interface.output.shape, interface.classes) == ("scores", (1, 4), 4)


def test_any_other_free_axis_is_refused_with_the_shape(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a static shape but for the batch, or --shape as in .*, found \[batch, 3, height, 8\]"):
        imported(tmp_path, classifier(("batch", 3, "height", 8)))


def test_a_fixed_batch_of_many_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a batch of 1, or a free one, found \[8, 3, 8, 8\]"):
        imported(tmp_path, classifier((8, 3, 8, 8)))


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
def test_an_old_opset_is_raised_and_computes_the_same(tmp_path: Path, opset: int) -> None:
    original = classifier((1, 3, 8, 8), opset=opset)
    model = imported(tmp_path, original)
    assert model.opset_import[0].version == max(opset, MIN_OPSET)
    assert np.allclose(answers(model.SerializeToString()), answers(original.SerializeToString()), atol=1e-5)


def test_weights_that_old_files_list_as_inputs_are_not_inputs(tmp_path: Path) -> None:
    model = imported(tmp_path, classifier((1, 3, 8, 8), opset=9, weights_are_inputs=True))
    assert [value.name for value in model.graph.input] == ["image"]


def test_a_model_that_is_already_quantized_is_refused_by_its_node(tmp_path: Path) -> None:
    onnx.save(lowered(tmp_path, "cpu"), tmp_path / "int8.onnx")
    with pytest.raises(ModelError, match=r"expected a float model, as it was trained, found node .* of type QuantizeLinear"):
        import_onnx(tmp_path / "int8.onnx")


def test_weights_kept_as_integers_are_made_float_again(tmp_path: Path) -> None:
    model = classifier((1, 3, 8, 8))
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == "kernel")
    random = np.random.default_rng(4)
    integers = random.integers(-127, 128, size=kernel.dims, dtype=np.int8)
    scales = random.uniform(0.01, 0.02, size=8).astype(np.float32)
    model.graph.initializer.remove(kernel)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name)
        for name, value in {"stored": integers, "scales": scales, "zeros": np.zeros(8, dtype=np.int8)}.items()
    )
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["stored", "scales", "zeros"], ["kernel"], axis=0))
    normal = normalise(imported(tmp_path, model))
    assert "DequantizeLinear" not in {node.op_type for node in normal.graph.node}
    assert np.allclose(answers(sealed(normal)), answers(model.SerializeToString()), atol=1e-5)


def test_a_sealed_file_carries_nothing_of_its_producer(tmp_path: Path) -> None:
    model = classifier((1, 3, 8, 8))
    model.producer_name, model.doc_string, model.graph.doc_string = "somebody", "made on tuesday", "in /home/somebody"
    model.graph.node[0].doc_string = "train.py line 3"
    model.metadata_props.add(key="author", value="somebody")
    raw = sealed(normalise(imported(tmp_path, model)))
    assert b"somebody" not in raw
    assert b"train.py" not in raw
    assert b"tuesday" not in raw
    assert onnx.load_from_string(raw).producer_name == "fieldfare"


def test_weights_are_symmetric_and_per_output_channel_on_every_integer_target(tmp_path: Path) -> None:
    for target in ("cpu", "rpi5"):
        values = constants(lowered(tmp_path, target))
        assert values["kernel/weights/quantized"].dtype == np.int8
        assert values["kernel/weights/scale"].shape == (8,)
        assert not values["kernel/weights/zero_point"].any()


@pytest.mark.parametrize(("target", "dtype"), [("cpu", np.uint8), ("rpi5", np.int8)])
def test_activations_have_the_type_that_the_target_is_fast_with(tmp_path: Path, target: str, dtype: type) -> None:
    assert constants(lowered(tmp_path, target))["image/zero_point"].dtype == dtype


@pytest.mark.parametrize(("target", "rest"), [("jetson-orin", np.float16), ("jetson-thor", np.float16), ("jetson-xavier", np.float32)])
def test_tensorrt_gets_symmetric_scales_float_bias_and_no_quantized_output_of_a_weighted_operator(
    tmp_path: Path, target: str, rest: type
) -> None:
    model = lowered(tmp_path, target)
    zero_points = {node.input[2] for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}}
    values = constants(model)
    assert all(not values[name].any() and values[name].dtype == np.int8 for name in zero_points)
    made_by = {output: node.op_type for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type in {"Conv", "Gemm"}:
            assert [made_by[name] for name in node.input[:2]] == ["DequantizeLinear", "DequantizeLinear"]
            assert values[node.input[2]].dtype == rest
        if node.op_type == "QuantizeLinear":
            assert made_by.get(node.input[0]) not in {"Conv", "Gemm"}


def test_half_precision_keeps_float_inputs_and_outputs(tmp_path: Path) -> None:
    model = lowered(tmp_path, "jetson-nano")
    assert {tensor.data_type for tensor in model.graph.initializer if tensor.name.startswith("kernel")} == {TensorProto.FLOAT16}
    interface = interface_of(model, tmp_path / "model.onnx")
    assert (interface.input.datatype, interface.output.datatype) == ("FP32", "FP32")


def runnable_profiles() -> list[TargetProfile]:
    return [load_profile(name) for name in target_names() if name != "coral"]


@pytest.mark.parametrize("profile", runnable_profiles(), ids=lambda profile: profile.name)
def test_no_integer_overflows_in_the_gate_on_any_host(tmp_path: Path, profile: TargetProfile) -> None:
    """The answers with the target's own options are those of the same graph computed in float, but for rounding.

    Where 16-bit sums saturate, as on x86-64 without VNNI, they are wrong by far more than two steps of the output.
    """
    model = normalise(imported(tmp_path, saturating_classifier()))
    file = lower(profile, model, planned(model))
    exact = answers(file, {"session.disable_quant_qdq": "1"})
    step = float(exact.max() - exact.min()) / 255
    assert np.abs(answers(file, dict(profile.session_options)) - exact).max() <= 2 * step


@pytest.mark.parametrize("target", ["jetson-orin", "jetson-thor"])
def test_a_bias_of_more_steps_than_half_precision_can_count_is_kept(tmp_path: Path, target: str) -> None:
    """The kernel is small beside its bias: 1 is more than 65504 of the steps in which their sums would be counted as integers."""
    source = classifier((1, 3, 8, 8))
    for tensor in source.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name == "kernel":
            tensor.CopyFrom(numpy_helper.from_array(values * np.float32(1e-4), tensor.name))
        if tensor.name == "bias":
            tensor.CopyFrom(numpy_helper.from_array(values + np.float32(1), tensor.name))
    model = normalise(imported(tmp_path, source))
    profile = load_profile(target)
    shipped = answers(lower(profile, model, planned(model)), dict(profile.session_options))
    expected = answers(model.SerializeToString())
    assert np.abs(shipped - expected).max() <= 0.02 * np.abs(expected).max()


def saturating_classifier() -> onnx.ModelProto:
    """Return the classifier with all weights positive and alike, so that sums of products are as large as they can be."""
    model = classifier((1, 3, 8, 8))
    for tensor in model.graph.initializer:
        if tensor.name in {"kernel", "dense"}:
            values = np.abs(numpy_helper.to_array(tensor)) + np.float32(2)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


def test_every_profile_of_the_design_is_there() -> None:
    expected = {"coral", "cpu", "jetson-nano", "jetson-orin", "jetson-thor", "jetson-xavier", "rpi3", "rpi4", "rpi5"}
    assert set(target_names()) == expected


def test_a_model_the_runtime_cannot_load_is_a_named_error() -> None:
    model = classifier((1, 3, 8, 8))
    model.graph.node[1].domain = "nowhere"
    model.opset_import.add(domain="nowhere", version=1)
    with pytest.raises(RunError, match=f"test: onnxruntime {onnxruntime.__version__} cannot run it"):
        Runner("test", model.SerializeToString(), {})
