"""What a device reports, laid flat: all that a query may ask, all that foretells whether a release fits, and how its models do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from contracts.agent_config import DeviceSection
from contracts.messages import Birth, Health, ModelReport, ReleaseRef
from contracts.names import Runtime
from fleet.core.rollout.model import Standing
from fleet.core.status import Gist, Status, status_of

# What agents call it as a provider.
EDGE_TPU = "EdgeTPU"
_NONE: Mapping[str, str] = MappingProxyType({})
_NO_MODELS: Mapping[str, ModelReport] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Vitals:
    """What changes with every health message."""

    free_memory_bytes: int
    memory_bytes: int
    free_disk_bytes: int
    disk_bytes: int
    temperature_c: float | None
    # A worker wanted an Edge TPU, and runs without one.
    lacks_edge_tpu: bool


@dataclass(frozen=True, slots=True)
class Admission:
    """What the fleet itself knows of a device."""

    hardware: str
    labels: Mapping[str, str]
    added_at: datetime | None = None
    last_seen: datetime | None = None
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """One device; what is None or empty was never reported."""

    id: str
    hardware: str
    labels: Mapping[str, str]
    # Artifact targets that it can run, best first: its own word, or else what its hardware implies.
    targets: tuple[str, ...]
    added_at: datetime | None = None
    # What it calls itself; queries ask the fleet's labels alone.
    own_labels: Mapping[str, str] = field(default_factory=lambda: _NONE)
    last_seen: datetime | None = None
    # Turned out since it was let in.
    is_revoked: bool = False
    # None before the first birth; an installed runtime's version by its name.
    runtimes: Mapping[Runtime, str] | None = None
    agent: str | None = None
    architecture: str | None = None
    system: str | None = None
    # What decides its status.
    gist: Gist = field(default_factory=Gist)
    vitals: Vitals | None = None
    # Of the newest wish that it verified; None before its first report.
    generation: int | None = None
    models: Mapping[str, ModelReport] = field(default_factory=lambda: _NO_MODELS)

    @property
    def running(self) -> Mapping[str, ReleaseRef]:
        """Return the release that it serves of each model."""
        return {model: report.current for model, report in self.models.items() if report.current}

    @property
    def ended_at(self) -> Mapping[str, datetime]:
        """Return when the newest attempt ended, of each model."""
        return {model: report.last.at for model, report in self.models.items() if report.last}

    def status(self, now: datetime) -> Status:
        """Return the one word for people."""
        return "offline" if self.is_revoked else status_of(self.gist, self.last_seen, now)[0]

    def standing(self, model: str) -> Standing | None:
        """Return how a model stands on it; None before its first word."""
        if self.generation is None and self.gist.is_online is None:
            return None
        return Standing(self.generation or 0, self.models.get(model), bool(self.gist.is_online))

    def admitted(self, admission: Admission) -> Inventory:
        """Return it as the fleet knows it by now."""
        hardware = admission.hardware
        is_implied = self.runtimes is None and (hardware != self.hardware or not self.targets)
        return replace(
            self,
            hardware=hardware,
            labels=admission.labels,
            targets=DeviceSection(id=self.id, hardware=hardware).targets if is_implied else self.targets,
            added_at=admission.added_at,
            last_seen=admission.last_seen,
            is_revoked=admission.is_revoked,
        )

    def with_birth(self, birth: Birth) -> Inventory:
        """Return it with another birth, or its will."""
        return replace(
            self,
            targets=birth.targets,
            own_labels=birth.labels,
            runtimes=birth.runtimes,
            agent=birth.agent_version,
            architecture=birth.machine.architecture,
            system=birth.machine.system,
            gist=self.gist.with_birth(birth),
        )

    def with_report(self, generation: int, models: Mapping[str, ModelReport]) -> Inventory:
        """Return it with another report: the newest wish that it verified, and how its models do."""
        return replace(self, generation=generation, models=models, gist=self.gist.with_models(models))

    def with_health(self, health: Health) -> Inventory:
        """Return it with other health."""
        return replace(self, vitals=vitals_of(health), gist=self.gist.with_health(health))


def new_inventory(device: str, admission: Admission) -> Inventory:
    """Return a device that was let in and said nothing yet."""
    return Inventory(device, "", _NONE, ()).admitted(admission)


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
