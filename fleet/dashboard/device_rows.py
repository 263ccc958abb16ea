"""Decides what a device's row in the list says, and which filters stand above it."""

from __future__ import annotations

from fleet.dashboard.grid import Row, column
from fleet.dashboard.words import epoch_ms, phase_to_show, release_name
from fleet.views.devices import DeviceSummary

COLUMNS = [
    column("status", "Status", "badge", width=124),
    column("id", "Device", "link", width=150, grow=2),
    column("hardware", "Hardware", width=116, from_width=720),
    column("runs", "Runs", width=120, grow=2, from_width=480),
    column("phase", "Update", "phase", width=152, from_width=860),
    column("cpu", "CPU", "meter", width=98, from_width=700),
    column("memory", "Memory", "meter", width=98, from_width=820),
    column("temperature", "Temperature", "celsius", width=112, from_width=940),
    column("labels", "Labels", width=120, grow=2, from_width=1100),
    column("seen", "Last seen", "ago", width=104, from_width=420),
]
# What the server can order by, and how people call it.
ORDERS = {
    "id": "Name",
    "status": "Most urgent",
    "hw": "Hardware",
    "-temperature": "Warmest",
    "free_disk": "Least free disk",
    "free_memory": "Least free memory",
    "last_seen": "Heard of last",
    "-last_seen": "Longest silent",
}
CHIPS = {
    "All": "",
    "Needs attention": "status in (offline, degraded)",
    "Online": "online",
    "Offline": "status = offline",
    "Degraded": "status = degraded",
    "Updating": "status = updating",
    "New": "status = new",
}


def row_of(device: DeviceSummary) -> Row:
    """Return a device's row in the table."""
    health, report = device.health, phase_to_show(device.models)
    return {
        "id": device.id,
        "status": device.status,
        "reason": device.status_reason,
        "hardware": device.hardware,
        "runs": ", ".join(release_name(report.current) for report in device.models.values() if report.current) or None,
        "phase": report.phase.value if report else None,
        "progress": report.progress if report else None,
        "cpu": health.cpu_percent if health else None,
        "memory": 100 * health.memory_used_bytes / health.memory_total_bytes if health and health.memory_total_bytes else None,
        "temperature": health.temperature_c if health else None,
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(device.labels.items())) or None,
        "seen": epoch_ms(device.last_seen) if device.last_seen else None,
    }


def both(one: str, other: str) -> str:
    """Return the query that means whom both mean; an empty one means everybody."""
    if one and other:
        return f"({one}) and ({other})"
    return one or other or "all"
