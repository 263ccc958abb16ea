"""The benchmarks begin: nobody runs them daily, and what they measure goes on changing."""

from __future__ import annotations

import math
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.delivery import transfers
from benchmarks.delivery_stage import stage, stored
from contracts.chunks import CHUNK_BYTES
from tests.sim.control import ROOT

PROGRAMS = sorted(file.stem for file in (ROOT / "benchmarks").glob("*.py") if "parser(__doc__" in file.read_text())
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_benchmark_says_what_it_measures(program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a command line that asks for no more
    monkeypatch.setattr(sys, "argv", [program, "--help"])

    # When
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "benchmarks" / f"{program}.py"), run_name="__main__")

    # Then
    assert ended.value.code == 0
    assert "--json FILE" in capsys.readouterr().out


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="mosquitto_sub is not installed")
def test_each_transfer_of_the_delivery_benchmark_brings_its_files_and_is_measured(tmp_path: Path) -> None:
    # Given small files, and two devices instead of twenty
    one, *many = (stored(tmp_path, 2 * CHUNK_BYTES) for _ in range(3))

    # When
    with stage(tmp_path, "127.0.0.1") as local:
        found = {name: run() for name, run in transfers(local, one, many).items()}

    # Then
    assert {"nginx x1", "fieldfare x1", "fieldfare by HTTPS x1", "bare x1"} < set(found)
    assert {"nginx x2", "fieldfare x2", "per device x2", "bare x2", "bare per device x2"} < set(found)
    assert all(run.bytes_per_s > 0 and not math.isnan(run.device_cpu_s_per_mb) for run in found.values()), found
    assert not any(math.isnan(run.broker_cpu_s_per_mb) for name, run in found.items() if "nginx" not in name and "HTTPS" not in name), found
