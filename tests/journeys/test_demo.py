"""The README's first command, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_demo_ends_with_every_device_committed_and_healthy(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.digits.demo", "--once", "--dir", str(tmp_path / "demo")]
    demo = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    for device in ("pi-1", "coral-1", "jetson-1"):
        assert device in demo.stdout
    assert "/login?code=" in demo.stdout


def test_the_demo_touches_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    command = [sys.executable, "-m", "examples.digits.demo", "--once", "--dir", str(tmp_path)]
    demo = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert demo.returncode == 1
    assert "found other files" in demo.stdout.replace("\n", " ")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
