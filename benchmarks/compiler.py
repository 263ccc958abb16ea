"""The compiler's time, memory and output: beside published int8 files, and beside onnx2tf with TensorFlow in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from ai_edge_litert.interpreter import Interpreter

from benchmarks.bars import Bar, finish, parser
from benchmarks.installed import installed_bytes
from benchmarks.networks import mobilenet_v2
from compiler.evaluate.litert import LiteRunner
from compiler.evaluate.port import Engine
from compiler.evaluate.runner import Runner
from compiler.graph.interface import interface_of
from compiler.graph.normalise import normalise
from compiler.importers import import_model
from compiler.lower import lower
from compiler.quantize.calibrate import calibrate
from compiler.targets import load_profile
from tests.sim.machine_sounds import smooth_spectra

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("FIELDFARE_SHARED_DATA", ROOT.parent / "shared" / "data"))
PEER = "onnx2tf==1.29.24"
PEER_FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fieldfare-benchmarks" / PEER.replace("==", "-")
MB = 1_000_000

# Float model, and the int8 file that its publisher made of it.
PUBLISHED = {
    "kws01": ("derived_dscnn_float.onnx", "dscnn_int8_ref.tflite"),
    "ic01": ("derived_resnet8_float.onnx", "resnet8_int8_ref.tflite"),
    "vww01": ("derived_mobilenetv1_025_96_float.onnx", "mobilenetv1_025_96_int8_ref.tflite"),
    "ad01": ("derived_autoencoder_float.onnx", "autoencoder_int8_ref.tflite"),
}


@dataclass(frozen=True)
class Run:
    """What one whole process cost."""

    wall_s: float
    peak_mib: float


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--no-peer", action="store_true", help=f"leave {PEER} out; installing it takes minutes and 2.6 GB")
    options = arguments.parse_args()
    rows: list[dict[str, str | float]] = []
    bars = [Bar("installed_compiler", installed_bytes("compiler") / MB, "<=", 600, " MB")]
    if SHARED.is_dir():
        for name, files in PUBLISHED.items():
            rows.append(against_published(name, *files))
            bars += [Bar(f"size_ratio_{name}", float(rows[-1]["size ratio"]), "<=", 1.05)]
            bars += [Bar(f"latency_ratio_{name}", float(rows[-1]["latency ratio"]), "<=", 1.05)]
        bars += autoencoder()
        bars += keywords()
    bars += large_network(with_peer=not options.no_peer)
    finish("int8 .tflite beside the publisher's", rows or [{"model": "no shared models here"}], bars, options.json)


def against_published(name: str, source: str, reference: str) -> dict[str, str | float]:
    """Lower one float model, and compare size and latency with the reference in interleaved rounds."""
    ours = lowered(SHARED / name / source)
    theirs = (SHARED / name / reference).read_bytes()
    times = interleaved_ms(ours, theirs)
    return {
        "model": name,
        "KiB": len(ours) / 1024,
        "published KiB": len(theirs) / 1024,
        "size ratio": len(ours) / len(theirs),
        "ms": times[0],
        "published ms": times[1],
        "latency ratio": times[0] / times[1],
    }


def lowered(source: Path) -> bytes:
    """Compile with random calibration: sizes and speed do not depend on it."""
    model = normalise(import_model(str(source), {}))
    value = model.graph.input[0]
    shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    random = np.random.default_rng(1)
    samples = [{value.name: random.random(shape, dtype=np.float32)} for _ in range(16)]
    return lower(load_profile("coral"), model, calibrate(model, samples, len(samples), "minmax").plan)


def interleaved_ms(first: bytes, second: bytes, rounds: int = 30) -> tuple[float, float]:
    """Return both files' best milliseconds on one thread, measured in turns; each round is long enough to time."""
    runners = [opened(model) for model in (first, second)]
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for index, runner in enumerate(runners):
            start = time.perf_counter()
            for _ in range(20):
                runner.invoke()
            best[index] = min(best[index], (time.perf_counter() - start) / 20 * 1000)
    return best[0], best[1]


def opened(model: bytes) -> Interpreter:
    """Return an interpreter with its inputs set."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    interpreter.invoke()
    return interpreter


def autoencoder() -> list[Bar]:
    """Compare the anomaly detector's reconstruction error in int8 with the float model's, on spectra that it was not calibrated with."""
    model = normalise(import_model(str(SHARED / "ad01" / PUBLISHED["ad01"][0]), {}))
    source, bars = model.graph.input[0].name, []
    for low_db, high_db in ((-10.0, 40.0), (-80.0, 0.0)):
        calibration = [{source: vector[None]} for vector in smooth_spectra(200, 1, low_db, high_db)]
        file = lower(load_profile("coral"), model, calibrate(model, calibration, len(calibration)).plan)
        interface = interface_of(model, Path(PUBLISHED["ad01"][0]))
        engines: list[Engine] = [Runner("ad01", model.SerializeToString(), {}), LiteRunner("ad01", file, interface)]
        unseen = smooth_spectra(200, 2, low_db, high_db)
        errors = [
            np.mean([np.square(row - engine.infer({source: row[None]})[interface.output.name]).mean() for row in unseen])
            for engine in engines
        ]
        bars.append(Bar(f"ad01_error_change_{low_db:g}_to_{high_db:g}_db", abs(float(errors[1] / errors[0]) - 1), "<=", 0.03))
    return bars


def keywords() -> list[Bar]:
    """Time the whole command: keyword spotting, three targets, with the gate."""
    folder = SHARED / "kws01"
    words = ["--target", "rpi5", "--target", "coral", "--target", "jetson-orin", "--preprocess", "mean=83,std=1.71027"]
    data = ["--calibration", str(folder / "calib.npz"), "--evaluation", str(folder / "eval.npz")]
    run = compiled(folder / "derived_dscnn_float.onnx", *words, *data, "--no-cache")
    return [Bar("kws01_three_targets", run.wall_s, "<=", 10, " s"), Bar("kws01_three_targets_memory", run.peak_mib, "<=", 500, " MiB")]


def large_network(*, with_peer: bool) -> list[Bar]:
    """Time a MobileNetV2 for one target, again where little changed, and the same conversion by the peer."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = folder / "mobilenet_v2.onnx"
        onnx.save(mobilenet_v2(), model)
        np.savez(folder / "calibration.npz", x=images(20, seed=1))
        np.savez(folder / "evaluation.npz", x=images(20, seed=2))
        data = ["--calibration", str(folder / "calibration.npz"), "--evaluation", str(folder / "evaluation.npz")]
        command = ["--target", "coral", *data, "--metric", "cosine", "--cache", str(folder / "cache")]
        ours = compiled(model, *command, "--max-drop", "0.5")
        bars = [Bar("mobilenet_v2", ours.wall_s, "<=", 60, " s"), Bar("mobilenet_v2_memory", ours.peak_mib, "<=", 1536, " MiB")]
        budget = compiled(model, *command, "--max-drop", "0.6")
        target = compiled(model, *command, "--max-drop", "0.5", "--target", "rpi5")
        bars += [
            Bar("mobilenet_v2_changed_budget_ratio", budget.wall_s / ours.wall_s, "<=", 0.3),
            Bar("mobilenet_v2_one_more_target_ratio", target.wall_s / ours.wall_s, "<=", 0.7),
        ]
        if with_peer:
            peer = converted_by_peer(model, folder)
            bars += [
                Bar("onnx2tf_time_ratio", peer.wall_s / ours.wall_s, ">=", 5),
                Bar("onnx2tf_memory_ratio", peer.peak_mib / ours.peak_mib, ">=", 1),
            ]
    return bars


def images(count: int, seed: int) -> npt.NDArray[np.float32]:
    """Return random images [count, 3, 224, 224]."""
    return np.random.default_rng(seed).random((count, 3, 224, 224), dtype=np.float32)


def compiled(model: Path, *options: str) -> Run:
    """Run `fieldfare compile` as a user does."""
    with tempfile.TemporaryDirectory() as folder:
        return measured([sys.executable, "-m", "cli", "compile", str(model), *options, "-o", f"{folder}/bundle"], ROOT)


def converted_by_peer(model: Path, folder: Path) -> Run:
    """Run onnx2tf with integer quantization, installed once into an environment of its own."""
    program = PEER_FOLDER / "bin" / "onnx2tf"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER_FOLDER)], check=True)
        subprocess.run([str(PEER_FOLDER / "bin" / "pip"), "install", "--quiet", PEER, "tensorflow==2.19.*"], check=True)
    # Without this file in the working folder it downloads one, whatever calibration it is given.
    np.save(
        folder / "calibration_image_sample_data_20x128x128x3_float32.npy", np.random.default_rng(1).random((20, 128, 128, 3), np.float32)
    )
    np.save(folder / "nhwc.npy", images(20, seed=1).transpose(0, 2, 3, 1))
    calibration = ["-cind", "image", str(folder / "nhwc.npy"), "[[[[0,0,0]]]]", "[[[[1,1,1]]]]"]
    command = [str(program), "-i", str(model), "-o", str(folder / "peer"), "-b", "1", "-oiqt", *calibration, "-n"]
    return measured(command, folder, {"PATH": f"{program.parent}:{os.environ['PATH']}"})


def measured(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> Run:
    """Run a command to its end; return its wall time and the peak memory of its largest process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: status {process.returncode}")
    return Run(time.perf_counter() - start, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
