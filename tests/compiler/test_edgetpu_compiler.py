"""edgetpu_compiler as the last stage, with a stand-in on PATH: what is shipped, what is said of it, and how a device runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.runtimes import litert
from agent.runtimes.port import Arrays, ModelSource
from compiler.edgetpu.document import prediction_of
from compiler.edgetpu.log import STATUSES, parse_log
from compiler.edgetpu.score import agreement
from compiler.edgetpu.stage import finish
from compiler.edgetpu.tool import compile_file
from compiler.importers.tflite.flatbuffer import read_flat
from contracts.agent_config import RuntimeSection
from contracts.bundle import read_bundle
from tests.compiler.material import digits_command, run
from tests.shared_data import shared_file
from tests.sim import edgetpu_compiler

# As version 15 printed it for a published model: github.com/google-coral/edgetpu, issue 427.
PRINTED = """Edge TPU Compiler version 15.0.340273435

Model compiled successfully in 1379 ms.

On-chip memory used for caching model parameters: 1.92MiB
On-chip memory remaining for caching model parameters: 1.75KiB
Off-chip memory used for streaming uncached model parameters: 3.23MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 136

Operator                       Count      Status

RESHAPE                        15         Mapped to Edge TPU
CUSTOM                         1          Operation is working on an unsupported data type
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what puts the stand-in on PATH."""

    def install(**ways: Any) -> None:
        folder = edgetpu_compiler.install(tmp_path / "bin", **ways)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return install


def model() -> bytes:
    return shared_file("kws01/dscnn_int8_ref.tflite").read_bytes()


def test_a_log_is_read_as_it_is_printed() -> None:
    log = parse_log(PRINTED)
    assert (log.version, log.subgraphs) == ("15.0.340273435", 1)
    assert (log.cached, log.left, log.streamed) == (2013266, 1792, 3386900)
    assert [(row.operator, row.count, row.where) for row in log.rows] == [("RESHAPE", 15, "tpu"), ("CUSTOM", 1, "cpu")]


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_known(status: str) -> None:
    (row,) = parse_log(f"ADD                            3          {status}\n").rows
    assert (row.operator, row.count, row.status) == ("ADD", 3, status)
    assert row.where == ("tpu" if status == "Mapped to Edge TPU" else "cpu")


def test_without_the_compiler_the_int8_file_is_shipped_and_the_report_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    finished = finish(model())
    assert (finished.shipped, finished.judged) == (model(), None)
    assert finished.report.outcome == "not-installed"
    assert "install edgetpu-compiler" in finished.report.told()


def test_what_was_compiled_is_shipped_and_its_log_is_scored(program: Any) -> None:
    program()
    finished = finish(model())
    assert finished.judged == model()
    assert b"edgetpu-custom-op" in finished.shipped
    report = finished.report
    assert report.log is not None
    assert report.agreement is not None
    assert (report.outcome, report.log.version, report.log.cached) == ("compiled", edgetpu_compiler.VERSION, 37376)
    assert (report.agreement.agreed, report.agreement.differed, report.agreement.unknown) == (13, 0, 0)


def test_a_log_that_differs_from_the_prediction_is_told_by_kind(program: Any) -> None:
    program(unsupported=("SOFTMAX",))
    score = finish(model()).report.agreement
    assert score is not None
    assert (score.agreed, score.differed, score.unknown) == (12, 1, 0)
    assert [(one.operator, one.mapped, one.predicted) for one in score.differences] == [("SOFTMAX", 0, 1)]


def test_a_log_of_another_model_has_no_score() -> None:
    assert agreement(prediction_of(read_flat(model(), "model")), parse_log(PRINTED)) is None


@pytest.mark.parametrize(
    ("mode", "outcome", "reason"),
    [
        ("fails", "failed", "status 1: Internal compiler error. Aborting!"),
        ("writes nonsense", "failed", "expected a TensorFlow Lite model"),
        ("maps nothing", "nothing-mapped", "no operator of it could be mapped"),
    ],
)
def test_whatever_goes_wrong_the_int8_file_is_shipped(mode: str, outcome: str, reason: str, program: Any) -> None:
    program(mode=mode)
    finished = finish(model())
    assert (finished.shipped, finished.judged) == (model(), None)
    assert finished.report.outcome == outcome
    assert reason in finished.report.told()


def test_a_compiler_that_hangs_is_ended(program: Any, tmp_path: Path) -> None:
    program(mode="hangs")
    ended = compile_file(model(), timeout_s=3.0)
    assert (ended.outcome, ended.file) == ("timed-out", None)
    assert ended.log.version == edgetpu_compiler.VERSION
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "bin" / "pid").read_text()), 0)


def test_the_bundle_holds_both_files_and_a_device_without_the_accelerator_runs_the_judged_one(
    program: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program()
    status, printed, complaint = run(digits_command(tmp_path / "bundle", "--target", "coral"), capsys)
    assert status == 0, complaint
    assert f"coral: compiled by edgetpu_compiler {edgetpu_compiler.VERSION}" in printed
    manifest = read_bundle(tmp_path / "bundle")
    artifact = manifest.artifacts["coral"]
    assert artifact.edge_tpu is not None
    assert (artifact.edge_tpu.outcome, artifact.edge_tpu.compiler) == ("compiled", edgetpu_compiler.VERSION)
    assert artifact.edge_tpu.judged_file in manifest.paths_for("coral")
    report = json.loads((tmp_path / "bundle" / "report.json").read_text())["targets"]["coral"]["edge_tpu"]
    assert report["agreement"]["differed"] == 0
    file, judged = tmp_path / "bundle" / artifact.file, tmp_path / "bundle" / str(artifact.edge_tpu.judged_file)
    assert b"edgetpu-custom-op" in file.read_bytes()
    runtime = litert.load(ModelSource(file, artifact, "coral", threads=1, runtime=RuntimeSection(allow_cpu_fallback=True), cpu_file=judged))
    assert (runtime.provider, runtime.preferred_provider) == (litert.XNNPACK, litert.EDGE_TPU)
    sample: Arrays = {spec.name: np.zeros(spec.shape, np.float32) for spec in artifact.inputs}
    assert runtime.infer(sample)[artifact.outputs[0].name].shape == artifact.outputs[0].shape


def test_the_page_and_the_manifest_say_that_it_was_not_compiled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert run(digits_command(tmp_path / "bundle", "--target", "coral"), capsys)[0] == 0
    artifact = read_bundle(tmp_path / "bundle").artifacts["coral"]
    assert artifact.edge_tpu is not None
    assert (artifact.edge_tpu.outcome, artifact.edge_tpu.judged_file) == ("not-installed", None)
    page = (tmp_path / "bundle" / "report.html").read_text()
    assert "On the Edge TPU" in page
    assert "edgetpu_compiler is not installed" in page
