"""Sources of every format: what is read, what is settled, what is remarked on, and what is refused by name."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.errors import ModelError, OptionError
from compiler.importers import import_model
from compiler.importers.notes import notes_of
from compiler.importers.onnx import import_onnx
from compiler.importers.shapes import parse_shapes
from compiler.importers.tflite import import_tflite
from tests.compiler.flat_models import Array, Flat, lite_answers
from tests.compiler.material import classifier
from tests.shared_data import shared_file


def answers(model: onnx.ModelProto, *feed: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    return [np.asarray(output) for output in session.run(None, dict(zip(names, feed, strict=True)))]


def input_shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}


def kinds(model: onnx.ModelProto) -> Mapping[str, int]:
    return collections.Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize(
    ("file", "shape"),
    [
        ("ic01/resnet8_float.tflite", (1, 32, 32, 3)),
        ("vww01/mobilenetv1_025_96_float.tflite", (1, 96, 96, 3)),
        ("ad01/autoencoder_float.tflite", (1, 640)),
    ],
)
def test_a_published_float_file_computes_what_litert_computes(file: str, shape: tuple[int, ...]) -> None:
    source = shared_file(file)
    x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    model = import_model(str(source), {})
    assert input_shapes(model) == {"input_1": list(shape)}
    assert [value.name for value in model.graph.output] == ["Identity"]
    assert kinds(model)["Transpose"] == (1 if len(shape) == 4 else 0)
    assert notes_of(model) == ()
    assert np.allclose(answers(model, x)[0], lite_answers(source, [x])[0], atol=1e-4)


def test_weights_already_quantized_are_made_float_and_remarked_on() -> None:
    """LiteRT rounds activations as well while it computes with integer weights; so the float graph of another converter is the measure."""
    model = import_model(str(shared_file("kws01/dscnn_float.tflite")), {})
    other = onnx.load(shared_file("kws01/derived_dscnn_float.onnx"))
    x = np.random.default_rng(5).normal(size=(1, 49, 10, 1)).astype(np.float32)
    assert np.allclose(answers(model, x)[0], answers(other, x)[0], atol=1e-5)
    assert notes_of(model)[0].startswith("weights already quantized: 5 of 10 weight tensors are stored as INT8")


def test_weights_stored_as_integers_in_onnx_are_remarked_on() -> None:
    model = import_model(str(shared_file("kws01/derived_dscnn_float.onnx")), {})
    assert notes_of(model)[0].startswith("weights already quantized: 5 tensors are stored as integers")


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (
            "kws01/dscnn_int8_ref.tflite",
            "found tensor input_1 of INT8 with a scale: quantizing it again would lose accuracy; give the float",
        ),
        ("imagenet/mobilenet_v1_0.25_128_quant.tflite", "expected a float model, as it was trained, found tensor input of UINT8"),
        ("imagenet/shufflenet-v2-12-int8.onnx", "of type QuantizeLinear; quantizing it again would lose accuracy, give the float model"),
    ],
)
def test_an_integer_model_is_refused_with_the_reason(file: str, complaint: str) -> None:
    with pytest.raises(ModelError) as refused:
        import_model(str(shared_file(file)), {})
    assert complaint in str(refused.value)


def identity_of_free_image(folder: Path) -> Path:
    flat = Flat()
    given, result = flat.value("image", (1, 1, 1, 3), free=[0, 1, 2]), flat.value("result", (1, 1, 1, 2), free=[0, 1, 2])
    random = np.random.default_rng(0)
    weights = [flat.constant(random.normal(size=shape).astype(np.float32)) for shape in [(2, 3, 3, 3), (2,)]]
    flat.operate("CONV_2D", [given, *weights], [result], "Conv2DOptions", strideH=2, strideW=2, padding=0)
    return flat.write(folder / "free.tflite", [given], [result])


def test_sizes_that_a_flat_file_leaves_open_are_settled_by_the_option(tmp_path: Path) -> None:
    file = identity_of_free_image(tmp_path)
    x = np.random.default_rng(1).normal(size=(1, 9, 7, 3)).astype(np.float32)
    model = import_model(str(file), {"image": (1, 9, 7, 3)})
    assert input_shapes(model) == {"image": [1, 9, 7, 3]}
    assert np.allclose(answers(model, x)[0], lite_answers(file, [x])[0], atol=1e-4)


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ({}, "input image: expected a static shape but for the batch, or --shape as in image=1x224x224x3, found [?, ?, ?, 3]"),
        ({"image": (1, 9, 7, 4)}, "expected a --shape that fits [?, ?, ?, 3], found 1x9x7x4"),
        ({"image": (1, 9, 7)}, "expected a --shape that fits [?, ?, ?, 3], found 1x9x7"),
        ({"image": (2, 9, 7, 3)}, "expected a batch of 1"),
        ({"image": (1, 9, 7, 3), "mask": (1, 2)}, "--shape: expected the name of an input, one of image, found mask"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(shapes: dict[str, tuple[int, ...]], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        import_tflite(identity_of_free_image(tmp_path), shapes)
    assert complaint in str(refused.value)


def test_sizes_that_an_onnx_file_leaves_open_are_settled_by_the_option(tmp_path: Path) -> None:
    onnx.save(classifier(("batch", 3, "height", "width")), tmp_path / "model.onnx")
    model = import_model(str(tmp_path / "model.onnx"), {"image": (1, 3, 10, 12)})
    assert input_shapes(model) == {"image": [1, 3, 10, 12]}


@pytest.mark.parametrize("text", ["image", "image=", "=1x3", "image=1x0x3", "image=1xx3", "image=1x-3", "image=1x9999999"])
def test_a_shape_that_says_nothing_is_refused_by_the_options_name(text: str) -> None:
    with pytest.raises(OptionError, match="--shape: shape: expected name=SIZExSIZE"):
        parse_shapes([text])


def test_shapes_are_read_by_name() -> None:
    assert parse_shapes(["image=1x3x8x8", "serving_default_x:0=1,5"]) == {"image": (1, 3, 8, 8), "serving_default_x:0": (1, 5)}


def saved(folder: Path, *nodes: onnx.NodeProto, opset: int = 13, domain: str = "", **constants: Array) -> Path:
    """Write a graph from `x` [1, 4] to `y`."""
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(
        list(nodes),
        "refused",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        tensors,
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "model.onnx")
    return folder / "model.onnx"


def branch(name: str) -> onnx.GraphProto:
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])
    return helper.make_graph([helper.make_node("Relu", ["x"], [name])], name, [], [value])


@pytest.mark.parametrize("opset", [1, 6])
def test_an_opset_too_old_to_be_sure_of_is_refused(tmp_path: Path, opset: int) -> None:
    file = saved(tmp_path, helper.make_node("Sigmoid", ["x"], ["y"]), opset=opset)
    with pytest.raises(ModelError, match=rf"opset: expected 7 to \d+; export the model again, with opset 17, found {opset}"):
        import_onnx(file)


def test_an_operator_of_another_domain_is_refused_by_node_and_domain(tmp_path: Path) -> None:
    file = saved(tmp_path, helper.make_node("Wavelet", ["x"], ["y"], name="w", domain="acme.audio"), domain="acme.audio")
    with pytest.raises(ModelError, match=r"found node w of type Wavelet and domain acme\.audio; replace it"):
        import_onnx(file)


def test_control_flow_is_refused_by_its_node(tmp_path: Path) -> None:
    compared = [helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0), helper.make_node("Greater", ["most", "zero"], ["yes"])]
    node = helper.make_node("If", ["yes"], ["y"], name="choice", then_branch=branch("a"), else_branch=branch("b"))
    with pytest.raises(ModelError, match="expected a graph without control flow, found node choice of type If; export the branch"):
        import_onnx(saved(tmp_path, *compared, node, zero=np.float32(0)))


def test_sequences_are_refused_by_their_node(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["parts"], axis=1, name="cut"),
        helper.make_node("SequenceAt", ["parts", "one"], ["y"]),
    ]
    with pytest.raises(ModelError, match="expected tensors alone, found node cut of type SplitToSequence"):
        import_onnx(saved(tmp_path, *nodes, one=np.array(1, np.int64)))


def test_weights_in_a_file_beside_the_model_are_read(tmp_path: Path) -> None:
    model = classifier((1, 3, 8, 8))
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    x = np.ones((1, 3, 8, 8), np.float32)
    assert np.allclose(answers(import_model(str(tmp_path / "model.onnx"), {}), x)[0], answers(classifier((1, 3, 8, 8)), x)[0])


def test_weights_that_are_missing_beside_the_model_are_named(tmp_path: Path) -> None:
    onnx.save(classifier((1, 3, 8, 8)), tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights\.bin"):
        import_model(str(tmp_path / "model.onnx"), {})


def one_operator(folder: Path, name: str, **fields: str) -> Path:
    flat = Flat()
    given, result = flat.value("given", (1, 4)), flat.value("result", (1, 4))
    flat.operate(name, [given], [result], **fields)
    return flat.write(folder / "model.tflite", [given], [result])


def test_a_custom_operator_of_a_flat_file_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match="operator 0 CUSTOM WaveletOp: expected an operator that has an ONNX form, found a custom operator"
    ):
        import_tflite(one_operator(tmp_path, "CUSTOM", custom_code="WaveletOp"), {})


def test_an_operator_without_an_onnx_form_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="operator 0 HASHTABLE_LOOKUP: expected an operator that has an ONNX form"):
        import_tflite(one_operator(tmp_path, "HASHTABLE_LOOKUP"), {})


def test_a_flat_file_of_several_functions_is_refused(tmp_path: Path) -> None:
    flat = Flat()
    given, result = flat.value("given", (1, 4)), flat.value("result", (1, 4))
    flat.operate("RELU", [given], [result])
    with pytest.raises(ModelError, match=r"subgraphs: expected exactly one, found 2"):
        import_tflite(flat.write(tmp_path / "model.tflite", [given], [result], subgraphs=2), {})


def test_an_input_left_out_is_not_the_last_tensor(tmp_path: Path) -> None:
    flat = Flat()
    given, result = flat.value("given", (1, 4)), flat.value("result", (1, 4))
    flat.operate("ADD", [given, -1], [result], "AddOptions")
    flat.constant(np.ones((1, 4), np.float32))
    with pytest.raises(ModelError, match="operator 0 ADD: expected operands that fit each other, found IndexError: an input is left out"):
        import_tflite(flat.write(tmp_path / "model.tflite", [given], [result]), {})


def test_an_operator_that_lies_about_its_result_is_refused(tmp_path: Path) -> None:
    flat = Flat()
    given, result = flat.value("given", (1, 4)), flat.value("result", (1, 5))
    flat.operate("RELU", [given], [result])
    with pytest.raises(ModelError, match="expected shapes that fit each other"):
        import_tflite(flat.write(tmp_path / "model.tflite", [given], [result]), {})


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("nowhere.tflite", "expected a TensorFlow Lite model, found no such file"),
        ("nowhere.onnx", "expected an ONNX model, found no such file"),
        ("nowhere.pt2", "expected a program saved by torch.export.save, found no such file"),
        ("nowhere.keras", "expected a Keras model, found no such file"),
        (".", "found a folder without saved_model.pb"),
    ],
)
def test_a_source_that_is_not_there_is_named(source: str, complaint: str) -> None:
    with pytest.raises(ModelError) as refused:
        import_model(source, {})
    assert complaint in str(refused.value)
