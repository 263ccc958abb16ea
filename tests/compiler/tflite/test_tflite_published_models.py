"""Published models as `.tflite`: right, small, and all integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

from compiler.lower.tflite import TfliteForm, to_tflite
from tests.compiler.tflite.lite import Array, as_stored, float_outputs, float_tensors, lite_outputs, operators, real
from tests.compiler.tflite.published import FILES, evaluation, published
from tests.shared_data import shared_file
from tests.sim.plan_run import exposed, simulation

MAX_SIZE_RATIO = 1.05
# The share of all numbers.
AGREEING = 0.999


@pytest.mark.parametrize("name", FILES)
def test_the_int8_file_and_the_plans_simulation_agree_to_one_step_in_every_tensor_and_at_the_end(name: str) -> None:
    found = published(name)
    model = exposed(found.model, found.plan)
    file, ends = to_tflite(model, found.plan, TfliteForm()), {value.name for value in found.model.graph.output}
    apart, apart_at_the_end = [], []
    for feed, outputs in zip(found.samples, simulation(model, found.plan, found.samples), strict=True):
        answers = lite_outputs(file, feed)
        for output, expected in outputs.items():
            steps = np.abs(answers[output] - expected).ravel() / found.plan.activations[output].asymmetric().scale
            apart.append(steps)
            if output in ends:
                apart_at_the_end.append(steps)
    assert np.mean(np.concatenate(apart) < 1.01) >= AGREEING
    assert np.mean(np.concatenate(apart_at_the_end) < 1.01) >= AGREEING


@pytest.mark.parametrize("name", FILES)
def test_the_int8_file_holds_no_floats_and_transposes_nothing(name: str) -> None:
    found = published(name)
    file = to_tflite(found.model, found.plan, TfliteForm())
    assert float_tensors(file) == []
    assert "TRANSPOSE" not in operators(file)
    assert found.model.graph.node[-1].op_type == "LogSoftmax" or "QUANTIZE" not in operators(file)


@pytest.mark.parametrize("name", FILES)
def test_the_float_file_computes_what_the_model_computes(name: str) -> None:
    found = published(name)
    file = to_tflite(found.model, found.plan, TfliteForm("float32"))
    for feed in found.samples[:5]:
        for output, expected in float_outputs(found.model, feed).items():
            np.testing.assert_allclose(lite_outputs(file, feed)[output], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", [name for name, (_, reference) in FILES.items() if reference])
def test_the_int8_file_is_hardly_larger_than_the_published_one(name: str) -> None:
    found, reference = published(name), shared_file(FILES[name][1]).stat().st_size
    assert len(to_tflite(found.model, found.plan, TfliteForm())) <= MAX_SIZE_RATIO * reference


@pytest.mark.parametrize(("name", "max_drop"), [("kws01", 0.005), ("mnist", 0.001)])
def test_the_int8_file_recognises_what_the_model_recognises(name: str, max_drop: float) -> None:
    found = published(name)
    samples, classes = evaluation(name)
    session = onnxruntime.InferenceSession(found.model.SerializeToString(), providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    in_float = np.asarray([session.run(None, {source: sample})[0].argmax() for sample in samples])
    in_int8 = np.asarray([scores.argmax() for scores in scores_of(to_tflite(found.model, found.plan, TfliteForm()), samples)])
    assert np.mean(in_int8 == classes) >= np.mean(in_float == classes) - max_drop


@pytest.mark.parametrize("form", [TfliteForm("int16"), TfliteForm("dynamic"), TfliteForm("float16")], ids=lambda form: form.precision)
def test_so_do_the_other_forms(form: TfliteForm) -> None:
    found = published("kws01")
    samples, classes = evaluation("kws01")
    in_float = np.asarray([scores.argmax() for scores in scores_of(to_tflite(found.model, found.plan, TfliteForm("float32")), samples)])
    chosen = np.asarray([scores.argmax() for scores in scores_of(to_tflite(found.model, found.plan, form), samples)])
    assert np.mean(chosen == classes) >= np.mean(in_float == classes) - 0.005
    assert np.mean(chosen == in_float) >= 0.98


def scores_of(file: bytes, samples: Sequence[Array]) -> Iterator[Array]:
    """Yield the file's only output for each sample."""
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for sample in samples:
        interpreter.set_tensor(source["index"], as_stored(sample, source))
        interpreter.invoke()
        yield real(interpreter.get_tensor(result["index"]), result)
