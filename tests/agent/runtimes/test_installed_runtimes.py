"""What the control process learns about runtimes without loading one."""

from __future__ import annotations

import subprocess
import sys

import onnxruntime

from agent.runtimes.installed import installed_runtimes
from tests.sim.control import ROOT


def test_the_installed_runtime_is_found_with_its_version() -> None:
    assert installed_runtimes()["onnx"] == onnxruntime.__version__


def test_asking_imports_neither_a_runtime_nor_numpy() -> None:
    program = (
        "import sys; from agent.runtimes.installed import installed_runtimes; installed_runtimes();"
        "print(*sorted({'numpy', 'onnxruntime', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)))"
    )

    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)

    assert found.stdout.split() == []
