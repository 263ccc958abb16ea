"""The files run in tflite-runtime 2.14, which a Coral needs, and give there what they give in LiteRT."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from compiler.lower.tflite import TfliteForm, TflitePrecision, UnsupportedOpError, to_tflite
from tests.compiler.tflite.cases import INTEGER
from tests.compiler.tflite.lite import as_stored
from tests.compiler.tflite.published import FILES, published
from tests.compiler.tflite.test_tflite_for_edge_tpu import FOR_EDGE_TPU, REWRITTEN
from tests.sim.float_plan import Feed, plan_of

PACKAGES = ("tflite-runtime==2.14.0", "numpy<2")
ENVIRONMENT = Path.home() / ".cache" / "fieldfare-tests" / "tflite-runtime-2.14"
SCRIPT = Path(__file__).parent / "old_runtime.py"
FORMS: tuple[TflitePrecision, ...] = ("int8", "float32", "float16", "dynamic", "int16")


@pytest.fixture(scope="module")
def old_python() -> Path:
    """Return the interpreter of an environment of its own, made once; skip where it cannot be made."""
    python = ENVIRONMENT / "bin" / "python"
    works = [str(python), "-c", "import numpy, tflite_runtime.interpreter; assert numpy.__version__ < '2'"]
    if not python.exists() or subprocess.run(works, check=False, capture_output=True, timeout=60).returncode != 0:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True, capture_output=True, timeout=120)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        made = subprocess.run(install, check=False, capture_output=True, text=True, timeout=240)
        if made.returncode != 0:
            pytest.skip(f"cannot install {PACKAGES}: {made.stderr.strip().splitlines()[-1]}")
    return python


def record(file: bytes, feed: Feed, place: Path) -> None:
    """Write a file, and beside it what LiteRT's plain kernels make of a sample."""
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    arrays = {}
    for detail in interpreter.get_input_details():
        arrays["input:" + detail["name"]] = as_stored(feed[detail["name"]], detail)
        interpreter.set_tensor(detail["index"], arrays["input:" + detail["name"]])
    interpreter.invoke()
    for detail in interpreter.get_output_details():
        arrays["output:" + detail["name"]] = interpreter.get_tensor(detail["index"])
    place.with_suffix(".tflite").write_bytes(file)
    np.savez(place.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]  # numpy types the keyword allow_pickle together with the arrays


def strangers(python: Path, folder: Path, allowed: float) -> dict[str, str]:
    """Return the files whose answers lie further apart than allowed, and those that the older runtime refuses, with its words."""
    done = subprocess.run([str(python), str(SCRIPT), str(folder)], check=True, capture_output=True, text=True, timeout=120)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return {name: answer for name, answer in rows if not _is_near(answer, allowed)}


def _is_near(answer: str, allowed: float) -> bool:
    try:
        return float(answer) <= allowed
    except ValueError:
        return False


@pytest.mark.parametrize("precision", FORMS)
def test_every_operator_runs_in_the_older_runtime(old_python: Path, tmp_path: Path, precision: TflitePrecision) -> None:
    for case in INTEGER:
        model, feeds = case.model(), case.feeds(1)
        try:
            file = to_tflite(model, plan_of(model, feeds), TfliteForm(precision))
        except UnsupportedOpError:
            assert precision == "int16"
            continue
        record(file, feeds[0], tmp_path / case.name)
    assert len(list(tmp_path.glob("*.tflite"))) > 80
    assert strangers(old_python, tmp_path, 2 if precision in {"int8", "int16"} else 1e-2) == {}


def test_the_published_models_run_in_the_older_runtime(old_python: Path, tmp_path: Path) -> None:
    for name in FILES:
        found = published(name)
        record(to_tflite(found.model, found.plan, TfliteForm()), found.samples[0], tmp_path / name)
    # Its kernels round otherwise than XNNPACK, and one step of a score is several of a probability.
    assert strangers(old_python, tmp_path, 12) == {}


def test_what_is_rewritten_for_an_edge_tpu_runs_in_the_older_runtime(old_python: Path, tmp_path: Path) -> None:
    for case in REWRITTEN.values():
        model, feeds = case.model(), case.feeds(1)
        record(to_tflite(model, plan_of(model, feeds), FOR_EDGE_TPU), feeds[0], tmp_path / case.name)
    assert len(list(tmp_path.glob("*.tflite"))) == len(REWRITTEN)
    assert strangers(old_python, tmp_path, 2) == {}
