"""Decides whether a configuration makes sense on this device, and whether it has shown itself fit once it is in force."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.core.update import Update
from contracts.agent_config import AgentConfig
from contracts.configuration import BASE, Configuration
from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from contracts.room import RESERVE_BYTES

# As which the machine, the reports and the events know it.
NAME = "configuration"
MIB = 1 << 20
# Within so many of the broker's keepalives the link must prove itself; at the first try a device comes back within one or two.
LINK_KEEPALIVES = 8.0


def ref_of(configuration: Configuration) -> ReleaseRef:
    """Return the identity under which a configuration goes through the update machine."""
    return ReleaseRef(model=NAME, release=configuration.revision, manifest_sha256=configuration.sha256)


BASE_REF = ref_of(BASE)
# A device that its fleet has never set: what agent.toml says has proved itself.
UNTOUCHED = Update(phase=Phase.COMMITTED, current=BASE_REF, good=BASE_REF)


@dataclass(frozen=True)
class Ground:
    """What of the device a configuration has to fit."""

    memory_bytes: int
    disk_free_bytes: int
    # What waits for the link now; it has its room already.
    waiting_bytes: int
    # Whether `delivery.folder` is a folder or a file here, and true where none is named.
    has_folder: bool


def misfit(config: AgentConfig, ground: Ground) -> str | None:
    """Return which setting makes no sense on this device, or None when all do."""
    worker, outbox, delivery = config.worker, config.telemetry.outbox_max_bytes, config.delivery
    if worker.memory_mib * MIB > ground.memory_bytes:
        return f"worker.memory_mib: expected at most the device's {ground.memory_bytes // MIB}, found {worker.memory_mib}"
    room_bytes = ground.disk_free_bytes + ground.waiting_bytes - RESERVE_BYTES
    if outbox > max(room_bytes, ground.waiting_bytes):
        return f"telemetry.outbox_max_bytes: expected room for it on the disk, found {max(room_bytes, 0)} bytes for {outbox}"
    if not ground.has_folder:
        return f"delivery.folder: expected a folder or a bundle at {delivery.folder}, found nothing"
    can = {"mqtt": True, "https": bool(delivery.server or delivery.urls), "folder": bool(delivery.folder)}
    if not any(can[name] for name in delivery.sources):
        return f"delivery.sources: expected one that can bring a file, found {', '.join(delivery.sources)} without server, urls or folder"
    return None


@dataclass(frozen=True)
class Signs:
    """What is seen of an agent under other settings than before."""

    # The broker has acknowledged a report, and has brought the fleet's wish, over a connection that is still there.
    is_linked: bool
    is_health_sent: bool
    # Models without a worker that serves under these settings.
    waiting: tuple[str, ...] = ()
    # Why a worker does not come up under them; empty when none has failed.
    failure: str = ""

    @property
    def lack(self) -> str:
        """Name what is not as it should be yet; empty when all is."""
        if not self.is_linked:
            return "link: expected the broker to take a report and to bring the fleet's wish, found no such connection"
        if not self.is_health_sent:
            return "health: expected a health message to be sent, found none"
        return f"worker: expected one that serves {', '.join(self.waiting)}, found none" if self.waiting else ""


@dataclass(frozen=True)
class Trial:
    """A configuration's probation, in seconds of a clock that never jumps."""

    began_s: float
    probation_s: float
    patience_s: float
    # Since when nothing was lacking.
    calm_since_s: float | None = None
    lack: str = ""
    # A model may take long to load, and its old worker serves meanwhile: only the phase's own deadline ends that.
    awaits_worker: bool = False

    def seen(self, signs: Signs, now_s: float) -> Trial:
        """Take in what is seen now."""
        if signs.lack:
            awaits_worker = signs.is_linked and signs.is_health_sent
            return replace(self, calm_since_s=None, lack=signs.lack, awaits_worker=awaits_worker)
        return self if self.calm_since_s is not None else replace(self, calm_since_s=now_s, awaits_worker=False)

    def is_fit(self, now_s: float) -> bool:
        """Say whether nothing was lacking for a whole probation."""
        return self.calm_since_s is not None and now_s - self.calm_since_s >= self.probation_s

    def is_over(self, now_s: float) -> bool:
        """Say whether it had time enough."""
        return not self.awaits_worker and now_s - self.began_s >= self.patience_s + 2 * self.probation_s
