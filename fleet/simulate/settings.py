"""Decides what becomes of settings on a played device: it takes those that would suit a small computer, and keeps to those of telemetry.

Its connection is the simulation's own, whatever the settings say of the broker.
"""

from __future__ import annotations

from typing import NamedTuple

from contracts.agent_config import AgentConfig
from contracts.configuration import BASE, Configuration, configured
from contracts.errors import InvalidDocumentError
from contracts.lifecycle import Phase
from contracts.messages import Machine, ModelReport, ReleaseRef
from contracts.room import RESERVE_BYTES
from fleet.simulate.device import Pace
from fleet.simulate.scenario import Scenario

# As which reports and events know it.
NAME = "configuration"
MACHINE = Machine(architecture="aarch64", system="simulated", python="-", cpu_count=4, memory_bytes=4 << 30, disk_bytes=32 << 30)
DISK_FREE_BYTES = 20 << 30
# Devices of a fleet share few configurations; more than these are judged again.
MAX_REMEMBERED = 256


def ref_of(configuration: Configuration) -> ReleaseRef:
    """Return the identity that reports show."""
    return ReleaseRef(model=NAME, release=configuration.revision, manifest_sha256=configuration.sha256)


# A device that was never set.
BASE_REF = ref_of(BASE)
UNTOUCHED = ModelReport(phase=Phase.COMMITTED, current=BASE_REF)


class Judged(NamedTuple):
    """A configuration, the rhythm it asks for, and the phase in which it ends for a reason; COMMITTED for a good end."""

    ref: ReleaseRef
    pace: Pace
    end: Phase
    result: Phase
    reason: str


class Judge:
    """Whether a configuration suits played devices."""

    def __init__(self, scenario: Scenario) -> None:
        """What no configuration sets is as the scenario says."""
        telemetry = {"health_interval_s": scenario.health_interval_s, "window_s": scenario.window_s}
        sections = {"device": {"id": "device", "hardware": "cpu"}, "broker": {"host": "127.0.0.1", "port": 1}, "telemetry": telemetry}
        self._base = AgentConfig.model_validate(sections)
        self._pace = Pace(scenario.health_interval_s, scenario.window_s)
        self._known: dict[str, Judged] = {}

    def judge(self, configuration: Configuration) -> Judged:
        """Return what becomes of it."""
        name = configuration.sha256
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._judged(configuration)
            if len(self._known) > MAX_REMEMBERED:
                del self._known[next(iter(self._known))]
        return known

    def _judged(self, configuration: Configuration) -> Judged:
        ref = ref_of(configuration)
        try:
            config = configured(self._base, configuration.settings)
        except InvalidDocumentError as error:
            return Judged(ref, self._pace, Phase.FETCHING, Phase.REJECTED, str(error))
        pace = Pace(config.telemetry.health_interval_s, config.telemetry.window_s)
        reason = _misfit(config)
        if reason:
            return Judged(ref, pace, Phase.TESTING, Phase.ROLLED_BACK, reason)
        return Judged(ref, pace, Phase.COMMITTED, Phase.COMMITTED, "")


def _misfit(config: AgentConfig) -> str:
    """Say as a real agent does which setting makes no sense on this device; nothing when all do."""
    memory_mib, room_bytes = MACHINE.memory_bytes >> 20, DISK_FREE_BYTES - RESERVE_BYTES
    if config.worker.memory_mib > memory_mib:
        return f"worker.memory_mib: expected at most the device's {memory_mib}, found {config.worker.memory_mib} (simulated)"
    if config.telemetry.outbox_max_bytes > room_bytes:
        return f"telemetry.outbox_max_bytes: expected room for it on the disk, found {room_bytes} bytes (simulated)"
    if config.delivery.folder:
        return f"delivery.folder: expected a folder or a bundle at {config.delivery.folder}, found nothing (simulated)"
    return ""
