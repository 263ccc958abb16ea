"""The fleet's table of costs beside a compilation: what real devices took, of which release, and nothing of it in the release."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from compiler.costs import device_times, in_words, read_costs
from compiler.errors import OptionError
from contracts import codec
from contracts.bundle import read_bundle
from contracts.commands import Benchmark, Cost, CostTable
from contracts.messages import ReleaseRef
from tests.compiler.material import digits_command, run

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def cost(
    device: str, p50_ms: float, release: int = 7, target: str = "rpi5", threads: int = 1, hours: int = 0, model: str = "digits"
) -> Cost:
    """Return a line of the table."""
    benchmark = Benchmark(
        release=ReleaseRef(model=model, release=release, manifest_sha256="0" * 64),
        target=target,
        runtime="litert 2.1",
        provider="XNNPACK",
        precision="int8",
        threads=threads,
        runs=100,
        mean_ms=p50_ms,
        p50_ms=p50_ms,
        p95_ms=2 * p50_ms,
        was_throttled=device == "hot",
    )
    return Cost(device=device, hardware="rpi5", measured_at=NOW + timedelta(hours=hours), benchmark=benchmark)


def table(*costs: Cost) -> CostTable:
    return CostTable(costs=costs)


def test_the_newest_release_counts_with_each_devices_newest_benchmark() -> None:
    found = table(cost("a", 9.0, release=6), cost("a", 3.0), cost("a", 4.0, hours=1), cost("b", 6.0), cost("hot", 11.0, hours=2))

    (time,) = device_times(found, "digits", ("cpu", "rpi5"))

    assert (time.target, time.release, time.devices, time.p50_ms, time.p95_ms, time.was_throttled) == ("rpi5", 7, 3, 6.0, 22.0, True)
    where = "(int8; litert 2.1, XNNPACK, 1 thread) on 3 devices, throttled"
    assert in_words(time) == f"6 ms at the median, 22 ms at most in 95 of 100, measured with release 7 {where}"


def test_what_was_timed_in_another_way_is_not_mixed_in() -> None:
    (time,) = device_times(table(cost("a", 3.0), cost("b", 1.0, threads=4, hours=1)), "digits", ("rpi5",))

    assert (time.devices, time.p50_ms, time.runner) == (1, 1.0, "litert 2.1, XNNPACK, 4 threads")


def test_another_models_times_and_other_targets_say_nothing() -> None:
    assert device_times(table(cost("a", 3.0, model="other"), cost("b", 3.0, target="coral")), "digits", ("rpi5",)) == ()


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"version": 2, "costs": []}', b"[" * 100_000])
def test_a_file_that_is_no_table_is_refused_by_its_name(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "costs.json").write_bytes(raw)
    with pytest.raises(OptionError, match=r"--costs: .*costs\.json: expected what `fieldfare device costs -o FILE` writes"):
        read_costs(tmp_path / "costs.json")


def test_the_command_shows_what_devices_took_and_the_release_stays_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "costs.json"
    file.write_bytes(codec.encode(table(cost("a", 3.0), cost("b", 5.0))))
    with_costs, without = tmp_path / "with", tmp_path / "without"
    status, said, _ = run(digits_command(with_costs, "--target", "rpi5", "--costs", str(file)), capsys)
    assert status == 0
    assert "rpi5 on devices: 4 ms at the median" in " ".join(said.split())
    assert "Latency on devices" in (with_costs / "report.html").read_text()
    assert run(digits_command(without, "--target", "rpi5"), capsys)[0] == 0
    assert "Latency on devices" not in (without / "report.html").read_text()
    assert read_bundle(with_costs) == read_bundle(without)
