"""The same inputs give the same bytes: in another process, folder, language and number of threads, and with or without a cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.lower import LOWERINGS
from tests.compiler.material import ROOT
from tests.shared_data import shared_file

# Every lowering there is; a bundle has one for each target.
BUNDLES = {
    "integers": (
        "cpu:ort-u8s8",
        "rpi3:tflite-float16",
        "rpi4:tflite-int16",
        "rpi5:ort-s8s8",
        "coral:tflite-edgetpu",
        "jetson-xavier:tensorrt-int8",
        "jetson-orin:tensorrt-int8",
    ),
    "others": ("cpu:tflite-int8", "rpi5:tflite-int8-float-io", "jetson-orin:tensorrt-int8-fp16"),
    "floats": ("cpu:tflite-dynamic", "rpi3:tflite-float32", "rpi4:ort-dynamic", "rpi5:ort-int4", "jetson-orin:tensorrt-fp16"),
}
# Enough for every step to happen, and few enough to do it nine times.
SAMPLES = 60
# Runs the command on so many of the processor's cores.
PROGRAM = (
    "import os, sys; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv.pop(1))]); import cli; cli.main(sys.argv[1:])"
)


def compiled(folder: Path, targets: tuple[str, ...], cores: int, *more: str, **environment: str) -> tuple[dict[str, bytes], str]:
    """Compile copies of the model and its samples that lie in `folder`; return the bundle's files and what stderr got."""
    folder.mkdir(parents=True)
    shutil.copy(shared_file("kws01/derived_dscnn_float.onnx"), folder)
    for name in ("calib.npz", "eval.npz"):
        with np.load(shared_file(f"kws01/{name}")) as samples:
            np.savez(folder / name, x=samples["x"][:SAMPLES], y=samples["y"][:SAMPLES])
    words = [word for target in targets for word in ("--target", target)]
    data = ("--calibration", "calib.npz", "--evaluation", str(folder / "eval.npz"), "--preprocess", "mean=83,std=1.71027")
    command = ("compile", "derived_dscnn_float.onnx", *words, *data, "--max-drop", "0.5", "-o", "bundle", *more)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(cores), *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    bundle = folder / "bundle"
    files = (file for file in bundle.rglob("*") if file.is_file() and file.name != "report.html")  # it tells how long an inference took
    return {file.relative_to(bundle).as_posix(): file.read_bytes() for file in files}, done.stderr


def test_the_bundles_show_every_lowering() -> None:
    assert {target.partition(":")[2] for targets in BUNDLES.values() for target in targets} == set(LOWERINGS)


@pytest.mark.parametrize("name", BUNDLES)
def test_a_published_model_gives_the_same_bytes_anywhere(name: str, tmp_path: Path) -> None:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    here, _ = compiled(tmp_path / "here", BUNDLES[name], 1, "--no-cache", PYTHONHASHSEED="1", LC_ALL="C", TZ="UTC", **one_thread)
    four_threads = dict.fromkeys(one_thread, "4")
    elsewhere = tmp_path / "some where" / "else"
    there, told = compiled(
        elsewhere, BUNDLES[name], 64, "--cache", str(tmp_path / "c"), PYTHONHASHSEED="2", LC_ALL="C.UTF-8", **four_threads
    )
    assert {path for path in here if here[path] != there.get(path)} == set()
    assert here.keys() == there.keys()
    assert told == ""  # LiteRT greets on stderr unless it is kept from it
    again, _ = compiled(tmp_path / "again", BUNDLES[name], 64, "--cache", str(tmp_path / "c"), PYTHONHASHSEED="3")
    assert again == here
