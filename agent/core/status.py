"""What the agent shows of itself on the device, and where it stands."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath

from pydantic import AwareDatetime, BaseModel

from contracts.messages import ModelReport, WorkerHealth

SERVICE_STATE_DIR = PurePosixPath("/var/lib/fieldfare")
MAX_STATUS_BYTES = 1 << 20


class Status(BaseModel, frozen=True, extra="ignore"):
    """How a running agent is doing; one that has stopped leaves its last one behind."""

    written_at: AwareDatetime
    pid: int
    agent_version: str
    device: str
    # The broker's address.
    broker: str
    is_linked: bool
    # When the broker was heard last, of a link that is down when it went; None when it never was since the start.
    last_contact_at: AwareDatetime | None
    # Messages that wait for the link, and how many were given up since the fleet was told last.
    waiting_bytes: int
    dropped: int
    models: dict[str, ModelReport]
    workers: dict[str, WorkerHealth]
    # The settings of the fleet that are in force, and the newest attempt at others; None of an agent that takes none.
    configuration: ModelReport | None = None


def status_file(state_dir: PurePath) -> PurePath:
    """Return where the agent of a state folder shows its status: the service does so in memory, which spares the device's card."""
    if state_dir == SERVICE_STATE_DIR:
        return PurePosixPath("/run/fieldfare/status.json")
    return state_dir / "run" / "status.json"
