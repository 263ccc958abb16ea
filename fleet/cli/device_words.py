"""Says in a line how a device was when it spoke last, and how the worker of one of its models was."""

from __future__ import annotations

from contracts.messages import Health, WorkerHealth
from fleet.cli.output import plain, size


def health_line(health: Health) -> str:
    """Say what a device's sensors told; what it has no sensor for is left out."""
    words = [
        f"CPU {health.cpu_percent:.0f} %",
        f"memory {size(health.memory_used_bytes)} of {size(health.memory_total_bytes)}",
        f"disk {size(health.disk_free_bytes)} of {size(health.disk_total_bytes)} free",
    ]
    words += [] if health.temperature_c is None else [f"{health.temperature_c:.0f} °C"]
    words += [] if health.edge_tpu_temperature_c is None else [f"Edge TPU {health.edge_tpu_temperature_c:.0f} °C"]
    words += ["throttled"] if health.is_throttled else []
    words += ["under-voltage"] if health.is_undervolted else []
    words += [] if health.power_w is None else [f"{health.power_w:.1f} W"]
    return ", ".join(words)


def worker_line(worker: WorkerHealth) -> str:
    """Say how a worker is, and what it sees where it looks by itself."""
    said = f"worker {worker.state}, {worker.restarts} restarts, {size(worker.rss_bytes)}"
    source = worker.source
    if source is None:
        return said
    why = f": {source.reason}" if source.reason else ""
    return plain(f"{said}; {source.source} {source.state}, {source.frames_per_s:g} frames a second{why}").plain
