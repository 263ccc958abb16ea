"""What the control process learns about runtimes without loading one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from agent.runtimes.installed import installed_runtimes, installed_version
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


def test_a_distribution_that_is_just_being_replaced_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ghost-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    assert installed_version("ghost") is None
