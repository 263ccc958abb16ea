"""A device's folder as enrolment leaves it: what it believes, who it is, and how it is set."""

from __future__ import annotations

from pathlib import Path

from tests.live.authority import authority, identity_of
from tests.sim.fleet import SimFleet


def write_device(folder: Path, device: str, fleet: SimFleet, *, hardware: str = "cpu", serve_port: int, probation_s: float = 0.5) -> Path:
    """Provision a device; return its agent.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "root.json").write_bytes(fleet.repository.root)
    (folder / "ca.pem").write_text(authority().pem)
    (folder / "identity.pem").write_text(identity_of(device))
    lines = [
        "[device]",
        f'id = "{device}"',
        f'hardware = "{hardware}"',
        "[broker]",
        'host = "127.0.0.1"',
        f"port = {fleet.port}",
        "keepalive_s = 2",
        "[serve]",
        f"port = {serve_port}",
        "[telemetry]",
        "health_interval_s = 0.5",
        "window_s = 0.5",
        "[update]",
        f"probation_s = {probation_s}",
    ]
    file = folder / "agent.toml"
    file.write_text("\n".join(lines) + "\n")
    return file
