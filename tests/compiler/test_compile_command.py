"""The command on the committed example: a whole bundle, the same bytes each time, or a refusal and nothing."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from contracts.bundle import read_bundle
from contracts.manifest import Artifact, Manifest
from tests.compiler.material import DIGITS, ROOT, digits_command, images, run, save_npz

TARGETS = ("--target", "cpu", "--target", "rpi5", "--target", "jetson-orin", "--target", "jetson-nano")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled") / "digits-1"
    compile_in_process_of_its_own(folder, "1", "--no-cache")
    return folder


def compile_in_process_of_its_own(folder: Path, hash_seed: str, *more: str) -> str:
    command = digits_command(folder, *TARGETS, "--labels", str(DIGITS / "labels.txt"), "--json", *more)
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "cli", *command],
        env=environment,
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_every_listed_byte_is_there_and_nothing_else(bundle: Path) -> None:
    manifest = read_bundle(bundle)
    files = {str(file.relative_to(bundle)) for file in bundle.rglob("*") if file.is_file()}
    assert files == {*manifest.files, "manifest.json", "manifest.sha256", "report.html"}
    assert {"plan.json", "report.json"} < manifest.files.keys()


def test_the_page_tells_the_latency_on_this_host_and_is_no_part_of_the_release(bundle: Path) -> None:
    page = (bundle / "report.html").read_text()
    assert re.findall(r'<div class="figure">[\d.e+-]+ ms', page)
    assert "report.html" not in read_bundle(bundle).files
    assert "latency" not in (bundle / "report.json").read_text()


def test_the_manifest_says_what_callers_send_and_what_the_runtime_takes(bundle: Path) -> None:
    manifest = read_bundle(bundle)
    assert (manifest.name, manifest.release, manifest.labels[3]) == ("digits", 1, "3")
    raw, taken = manifest.inputs[0], manifest.artifacts["cpu"].inputs[0]
    assert (raw.name, raw.datatype, raw.shape) == ("image", "UINT8", (1, 1, 8, 8))
    assert (taken.name, taken.datatype, taken.shape) == ("image", "FP32", (1, 1, 8, 8))


@pytest.mark.parametrize("target", ["cpu", "rpi5", "jetson-orin", "jetson-nano"])
def test_a_device_that_follows_the_manifest_finds_the_golden_outputs(bundle: Path, target: str) -> None:
    manifest = read_bundle(bundle)
    artifact = manifest.artifacts[target]
    answers, golden = replay(bundle, manifest, artifact), load(bundle / artifact.golden_outputs)["logits"]
    assert np.array_equal(answers, golden)
    assert len(golden) == 16


@pytest.mark.parametrize("target", ["cpu", "rpi5", "jetson-orin", "jetson-nano"])
def test_no_golden_answer_can_change_its_class_within_the_tolerance(bundle: Path, target: str) -> None:
    artifact = read_bundle(bundle).artifacts[target]
    golden = load(bundle / artifact.golden_outputs)["logits"]
    first, second = np.sort(golden, axis=1)[:, -1], np.sort(golden, axis=1)[:, -2]
    assert artifact.tolerance.same_argmax
    assert (first - second > 2 * artifact.tolerance.absolute).all()


def test_the_golden_samples_show_every_class(bundle: Path) -> None:
    golden = load(bundle / read_bundle(bundle).artifacts["cpu"].golden_outputs)["logits"]
    assert set(golden.argmax(axis=1).tolist()) == set(range(10))


def test_every_target_of_the_example_stays_within_one_point_and_above_97_percent(bundle: Path) -> None:
    for artifact in read_bundle(bundle).artifacts.values():
        assert artifact.gate.drop <= 0.01
        assert artifact.gate.compiled_value >= 0.97
        assert artifact.gate.verdict == "proven"
        assert artifact.gate.samples == 500


def test_the_report_agrees_with_the_signed_evidence(bundle: Path) -> None:
    report = json.loads((bundle / "report.json").read_text())
    for target, artifact in read_bundle(bundle).artifacts.items():
        metric = report["targets"][target]["metric"]
        assert metric["name"] == "top1"
        assert (metric["float"], metric["compiled"]) == (artifact.gate.float_value, artifact.gate.compiled_value)
        assert (metric["drop"], metric["drop_upper"], metric["n"]) == (artifact.gate.drop, artifact.gate.drop_upper, 500)
        assert report["targets"][target]["bytes"] == (bundle / artifact.file).stat().st_size
        assert report["targets"][target]["runtime"] == "onnx"


def test_the_plan_says_which_calibrator_was_best_and_what_every_tensor_became(bundle: Path) -> None:
    assert "plan.json" in read_bundle(bundle).files
    plan = json.loads((bundle / "plan.json").read_text())
    scores = plan["calibrator_scores_db"]
    used = {activation["calibrator"] for activation in plan["activations"].values()}
    assert used - {"fixed", "constant"} == {max(scores, key=lambda name: scores[name])}
    assert {"image", "logits"} <= set(plan["activations"])
    assert all(len(weights["scales"]) > 1 for weights in plan["weights"].values())


def test_a_calibrator_can_be_asked_for_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, _ = run(digits_command(tmp_path / "bundle", "--target", "cpu", "--calibrator", "percentile-99.9"), capsys)
    assert status == 0
    plan = json.loads((tmp_path / "bundle" / "plan.json").read_text())
    assert plan["calibrator_scores_db"] == {}
    assert {activation["calibrator"] for activation in plan["activations"].values()} <= {"percentile-99.9", "fixed"}


def test_the_same_inputs_give_the_same_bytes_but_for_the_page_that_tells_the_time(bundle: Path, tmp_path: Path) -> None:
    first = all_but_the_page(bundle)
    for cache in ("empty", "full"):
        again = tmp_path / cache
        printed = compile_in_process_of_its_own(again, "2", "--cache", str(tmp_path / "cache"))
        assert first == all_but_the_page(again)
        assert printed.encode() == first[Path("report.json")]


def all_but_the_page(bundle: Path) -> dict[Path, bytes]:
    return {file.relative_to(bundle): file.read_bytes() for file in bundle.rglob("*") if file.is_file() and file.name != "report.html"}


def test_an_older_bundle_is_replaced_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bundle"
    assert run(digits_command(folder, "--target", "cpu", "--target", "rpi5"), capsys)[0] == 0
    assert run(digits_command(folder, "--target", "cpu", "--release", "2"), capsys)[0] == 0
    assert read_bundle(folder).release == 2
    assert not (folder / "artifacts" / "rpi5").exists()
    assert list(tmp_path.iterdir()) == [folder]


def test_a_target_named_twice_is_compiled_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, _ = run(digits_command(tmp_path / "bundle", "--target", "cpu", "--target", "cpu"), capsys)
    assert status == 0
    assert printed.count("  cpu ") == 1


def test_the_terminal_shows_each_target_and_its_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, complaint = run(digits_command(tmp_path / "bundle", "--target", "rpi5"), capsys)
    assert (status, complaint) == (0, "")
    assert "digits, release 1: top1 on 500 samples, budget 1.00 points" in " ".join(printed.split())
    assert "rpi5" in printed
    assert "proven" in printed


def test_a_drop_past_the_budget_refuses_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ruined = ruin_calibration(tmp_path / "tiny.npz")
    command = [*digits_command(tmp_path / "bundle", "--target", "cpu"), "--calibration", str(ruined)]
    status, printed, complaint = run(command, capsys)
    assert (status, printed) == (1, "")
    assert complaint.startswith("error: refused by the gate, nothing was written: cpu: top1 0.9920 float, ")
    assert complaint.rstrip().endswith("budget 0.01")
    assert list(tmp_path.iterdir()) == [ruined]


def test_an_unproven_budget_passes_with_a_word_and_fails_where_proof_is_required(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = digits_command(tmp_path / "bundle", "--target", "cpu", "--max-drop", "0.001")
    status, printed, _ = run(command, capsys)
    assert status == 0
    assert "500 samples do not prove it; about " in printed
    status, _, complaint = run([*command, "-o", str(tmp_path / "other"), "--require-proof"], capsys)
    assert status == 1
    assert "samples would prove it" in complaint
    assert not (tmp_path / "other").exists()


def test_nothing_is_left_beside_the_bundle_and_nobody_is_reported_to(tmp_path: Path) -> None:
    """ONNX Runtime's telemetry leaves a session file among the temporary files as soon as it starts."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    command = [sys.executable, "-m", "cli", *digits_command(tmp_path / "bundle", "--target", "cpu")]
    subprocess.run(command, env=environment, capture_output=True, timeout=120, check=True)
    assert list(scratch.iterdir()) == []
    assert sorted(tmp_path.iterdir()) == [tmp_path / "bundle", scratch]


def test_an_interrupt_leaves_nothing_half_written(tmp_path: Path) -> None:
    many = save_npz(tmp_path / "many.npz", x=images(50_000, seed=5, shape=(8, 8)) % 17)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [*digits_command(tmp_path / "bundle", "--target", "cpu"), "--calibration", str(many)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch), "TERM": "xterm"}
    ours, terminal = pty.openpty()  # the command tells a terminal, and nothing else, how far it is
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *command], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=terminal
    )
    try:
        wait_for_calibration(ours)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
    finally:
        process.kill()
        process.wait(timeout=30)
        os.close(terminal)
        os.close(ours)
    assert list(scratch.iterdir()) == []
    assert sorted(tmp_path.iterdir()) == [many, scratch]


def wait_for_calibration(terminal: int) -> None:
    deadline = time.monotonic() + 120
    shown = b""
    while b"calibrate" not in shown:
        assert time.monotonic() < deadline, f"calibration did not begin: {shown!r}"
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096)


def ruin_calibration(file: Path) -> Path:
    """Write samples so faint that the ranges they set cut off every real digit."""
    return save_npz(file, x=images(10, seed=3, shape=(8, 8)) / 255 * 0.01)


def load(file: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def replay(bundle: Path, manifest: Manifest, artifact: Artifact) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Do what a device does: preprocess each raw sample, run it with the artifact's session options."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for key, value in artifact.session_options.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(bundle / artifact.file, options, providers=["CPUExecutionProvider"])
    samples = load(bundle / manifest.golden_inputs)["image"]
    assert samples.dtype == np.uint8
    assert samples.shape[1:] == manifest.inputs[0].shape[1:]
    feeds = [{"image": manifest.preprocess.apply(sample[None])} for sample in samples]
    return np.concatenate([session.run(["logits"], feed)[0] for feed in feeds])
