"""The one command: what it says of itself, and how it refuses."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = [
    *("compile", "inspect", "bench", "compare", "lint-tensorrt"),
    *("fleet", "release", "keys", "rollout", "devices", "device", "token", "watch", "dashboard", "agent"),
]


def fieldfare(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "cli", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)


def test_help_names_every_command() -> None:
    shown = fieldfare("--help").stdout
    for command in COMMANDS:
        assert f"│ {command} " in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    shown = fieldfare(command, "--help")
    assert shown.returncode == 0, shown.stderr
    assert f"fieldfare {command}" in shown.stdout


def test_the_version_is_the_distributions() -> None:
    assert fieldfare("--version").stdout.startswith("0.")


def test_an_unknown_command_ends_with_status_2() -> None:
    refused = fieldfare("compil")
    assert refused.returncode == 2
    assert "No such command 'compil'" in refused.stderr


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    # None in sys.modules is how Python says: this module cannot be had.
    program = "import sys; sys.modules['onnx'] = None; import cli; cli.main(['compile', 'x.onnx', '--target', 'cpu', '-o', 'x'])"
    refused = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert refused.returncode == 2
    assert refused.stderr == "error: fieldfare compile: module onnx is not installed; run: pip install 'fieldfare[compiler]'\n"


def test_a_wheel_holds_the_packages_and_the_units(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, capture_output=True, timeout=200, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("fieldfare-*.whl"))) as wheel:
        names = set(wheel.namelist())
    for name in ("cli.py", "contracts/manifest.py", "agent/units/fieldfare-agent.service", "compiler/targets/rpi5.toml"):
        assert name in names
    for folder in ("fleet/store/migrations", "agent/worker", "compiler/targets", "fleet/dashboard"):
        expected = {
            str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".toml", ".html", ".mako", ".css"}
        }
        assert expected <= names
