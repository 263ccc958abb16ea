"""What a device reports, laid flat: all that a query may ask, and all that is needed to foresee whether a release fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from contracts.agent_config import DeviceSection
from contracts.manifest import Runtime
from contracts.messages import Birth, Health, ReleaseRef, Reported
from fleet.core.status import Gist, Status, status_of

# What agents call it as a provider.
EDGE_TPU = "EdgeTPU"


@dataclass(frozen=True)
class Vitals:
    """What changes with every health message."""

    free_memory_bytes: int
    memory_bytes: int
    free_disk_bytes: int
    disk_bytes: int
    temperature_c: float | None
    # A worker wanted an Edge TPU, and runs without one.
    lacks_edge_tpu: bool


@dataclass(frozen=True)
class Inventory:
    """One device; what is None or empty was never reported."""

    id: str
    hardware: str
    labels: Mapping[str, str]
    # Artifact targets that it can run, best first: its own word, or else what its hardware implies.
    targets: tuple[str, ...]
    added_at: datetime | None = None
    # What it calls itself; queries ask the fleet's labels alone.
    own_labels: Mapping[str, str] = field(default_factory=dict)
    last_seen: datetime | None = None
    # None before the first birth; an installed runtime's version by its name.
    runtimes: Mapping[Runtime, str] | None = None
    agent: str | None = None
    architecture: str | None = None
    system: str | None = None
    # What decides its status.
    gist: Gist = field(default_factory=Gist)
    vitals: Vitals | None = None
    running: Mapping[str, ReleaseRef] = field(default_factory=dict)
    # By model: when the newest attempt ended.
    ended_at: Mapping[str, datetime] = field(default_factory=dict)

    def status(self, now: datetime) -> Status:
        """Return the one word for people."""
        return status_of(self.gist, self.last_seen, now)[0]


@dataclass(frozen=True)
class Words:
    """What a device said last, of each kind; when it said anything, and when it was let in."""

    birth: Birth | None = None
    reported: Reported | None = None
    health: Health | None = None
    last_seen: datetime | None = None
    added_at: datetime | None = None


def inventory_of(device: str, hardware: str, labels: Mapping[str, str], words: Words) -> Inventory:
    """Lay flat what is known of a device."""
    birth, models = words.birth, words.reported.models if words.reported else {}
    implied = DeviceSection(id=device, hardware=hardware).targets
    return Inventory(
        id=device,
        hardware=hardware,
        labels=labels,
        targets=birth.targets if birth else implied,
        added_at=words.added_at,
        own_labels=birth.labels if birth else {},
        last_seen=words.last_seen,
        runtimes=birth.runtimes if birth else None,
        agent=birth.agent_version if birth else None,
        architecture=birth.machine.architecture if birth else None,
        system=birth.machine.system if birth else None,
        gist=_gist_of(words),
        vitals=vitals_of(words.health) if words.health else None,
        running={model: report.current for model, report in models.items() if report.current},
        ended_at={model: report.last.at for model, report in models.items() if report.last},
    )


def vitals_of(health: Health) -> Vitals:
    """Return what queries ask of a health message."""
    return Vitals(
        free_memory_bytes=max(0, health.memory_total_bytes - health.memory_used_bytes),
        memory_bytes=health.memory_total_bytes,
        free_disk_bytes=health.disk_free_bytes,
        disk_bytes=health.disk_total_bytes,
        temperature_c=health.temperature_c,
        lacks_edge_tpu=any(
            worker.preferred_provider == EDGE_TPU and worker.provider not in ("", EDGE_TPU) for worker in health.workers.values()
        ),
    )


def _gist_of(words: Words) -> Gist:
    gist = Gist()
    if words.birth is not None:
        gist = gist.with_birth(words.birth)
    if words.reported is not None:
        gist = gist.with_models(words.reported.models)
    return gist if words.health is None else gist.with_health(words.health)
