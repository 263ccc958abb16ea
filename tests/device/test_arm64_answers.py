"""Integer models decide on an emulated 64-bit Arm as they do here, in every runtime that a device may have."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.device import answers
from tests.device.material import ROOT
from tests.live.arm64 import PI_4, PI_5, EmulatedDebian
from tests.live.arm64_agent import CORAL, FIRST

pytestmark = [pytest.mark.device, pytest.mark.timeout(3600)]
PROGRAM = Path(answers.__file__)
# Of models that others quantized: each of their layers may round to the next integer on another processor, and a softmax widens that.
# What was compiled here is held to its own golden set, and so to one step.
MAX_STEPS = 16


@pytest.fixture(scope="session")
def here(material: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What this machine answers."""
    out = tmp_path_factory.mktemp("answers") / "here.npz"
    subprocess.run([sys.executable, "-m", "tests.device.answers", str(material), str(out)], cwd=ROOT, check=True, timeout=300)
    with np.load(out) as found:
        return dict(found)


@pytest.fixture(scope="session")
def told(device: EmulatedDebian, material: Path) -> EmulatedDebian:
    """The device, with all that is asked of it."""
    for file in material.rglob("*"):
        if file.is_file():
            device.put(f"/opt/asked/{file.relative_to(material)}", file.read_bytes())
    device.put("/opt/answers.py", PROGRAM.read_bytes())
    return device


@pytest.mark.parametrize("cpu", [PI_4, PI_5])
@pytest.mark.parametrize("environment", [FIRST, CORAL], ids=["litert and onnx", "tflite-runtime"])
def test_integer_models_decide_on_arm_as_here(
    environment: str, cpu: str, told: EmulatedDebian, here: dict[str, Any], tell: Callable[[str], None]
) -> None:
    # When the device runs all that its runtimes take
    began_s = time.monotonic()
    told.run(f"{environment}/bin/python", "/opt/answers.py", "/opt/asked", "/opt/there.npz", cpu=cpu)
    took_s = time.monotonic() - began_s
    with np.load(io.BytesIO(told.get("/opt/there.npz"))) as found:
        there = dict(found)
    # Then it ran all of them, it would refuse none that was compiled here, and every decision is the one from here
    is_for_all = environment == FIRST
    assert there.keys() == {name for name in here if is_for_all or is_tflite(name)}
    refusals = {name: str(reason) for name, reason in there.items() if name.endswith(":refusal") and str(reason)}
    assert refusals == {}
    apart = {name: distance(values, there[name]) for name, values in here.items() if not name.endswith(":refusal") and name in there}
    moved = {name for name in apart if not np.array_equal(winners(here[name]), winners(there[name]))}
    assert moved == set()
    assert {name: largest for name, (largest, _) in apart.items() if "." in name and largest > MAX_STEPS} == {}
    equal = sum(largest == 0 for largest, _ in apart.values())
    differ = "; ".join(f"{name} by {largest:.3g} in {count} values" for name, (largest, count) in apart.items() if largest)
    same = f"{equal} of {len(apart)} outputs equal to the last bit, {took_s:.0f} s under emulation"
    tell(f"{environment} on {cpu}: {same}; apart: {differ or 'none'}")


def is_tflite(name: str) -> bool:
    """Say whether an answer came from a .tflite file: a published one, or one that was compiled for a target of that form."""
    return ".tflite" in name or name.startswith(("digits/coral:", "digits/rpi4:"))


def distance(here: Any, there: Any) -> tuple[float, int]:
    """Return the largest difference, and how many values differ."""
    assert here.shape == there.shape
    apart = np.abs(here.astype(np.float64) - there.astype(np.float64))
    return float(apart.max()), int((apart > 0).sum())


def winners(answers: Any) -> Any:
    """Return the largest value's place in each sample's answer."""
    return answers.reshape(len(answers), -1).argmax(axis=1)
