"""Reads the fleet's table of costs: what earlier releases of a model took on real devices, for each target that is compiled now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from compiler.errors import OptionError
from contracts import codec
from contracts.commands import Cost, CostTable
from contracts.errors import ContractError
from contracts.small_files import read_bounded

# Ten thousand lines, which is what a fleet gives out at once.
MAX_TABLE_BYTES = 16 << 20


@dataclass(frozen=True)
class DeviceTime:
    """One inference with its preprocessing on the devices of one hardware: each device's newest benchmark of the newest release there."""

    target: str
    release: int
    precision: str
    # What ran it, on how many threads.
    runner: str
    devices: int
    # The median over devices of their medians, and the slowest 95th percentile of any.
    p50_ms: float
    p95_ms: float
    was_throttled: bool


def read_costs(file: Path) -> CostTable:
    """Read what `fieldfare device costs -o FILE` wrote; raise OptionError."""
    try:
        return codec.decode(CostTable, read_bounded(file, MAX_TABLE_BYTES), name=file.name, max_bytes=MAX_TABLE_BYTES)
    except (ContractError, OSError) as error:
        raise OptionError("--costs", str(file), "what `fieldfare device costs -o FILE` writes", str(error)) from error


def device_times(table: CostTable, model: str, targets: tuple[str, ...]) -> tuple[DeviceTime, ...]:
    """Return what is known of a model's targets, in their order; one that was never timed on a device is left out."""
    found = (_time_of(target, [cost for cost in table.costs if _is_about(cost, model, target)]) for target in targets)
    return tuple(time for time in found if time is not None)


def _is_about(cost: Cost, model: str, target: str) -> bool:
    return cost.benchmark.release.model == model and cost.benchmark.target == target


def _time_of(target: str, costs: list[Cost]) -> DeviceTime | None:
    if not costs:
        return None
    release = max(cost.benchmark.release.release for cost in costs)
    lines = sorted((cost for cost in costs if cost.benchmark.release.release == release), key=lambda cost: cost.measured_at)
    last = lines[-1].benchmark
    # Of devices that were timed in the same way as the one that was timed last: two threads are not to be mixed with one.
    alike = {
        cost.device: cost.benchmark for cost in lines if (cost.benchmark.threads, cost.benchmark.provider) == (last.threads, last.provider)
    }
    return DeviceTime(
        target=target,
        release=release,
        precision=last.precision,
        runner=f"{last.runtime}, {last.provider}, {last.threads} thread{'s' * (last.threads != 1)}",
        devices=len(alike),
        p50_ms=median(benchmark.p50_ms for benchmark in alike.values()),
        p95_ms=max(benchmark.p95_ms for benchmark in alike.values()),
        was_throttled=any(benchmark.was_throttled for benchmark in alike.values()),
    )


def in_words(time: DeviceTime) -> str:
    """Say it in one line, and of which file it is true: the one that was measured, not the one that is compiled now."""
    devices = f"{time.devices} device{'s' * (time.devices != 1)}"
    throttled = ", throttled" * time.was_throttled
    return (
        f"{time.p50_ms:.3g} ms at the median, {time.p95_ms:.3g} ms at most in 95 of 100, measured with release {time.release} "
        f"({time.precision}; {time.runner}) on {devices}{throttled}"
    )
