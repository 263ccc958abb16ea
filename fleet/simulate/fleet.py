"""Puts a played fleet together: which devices there are, and how they do."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from contracts.errors import InvalidDocumentError
from contracts.lifecycle import Phase
from fleet.requests.enrolment import SimulatedDevice
from fleet.simulate.device import Device
from fleet.simulate.scenario import Scenario

# Of the process itself.
SPARE_FILES = 64


@dataclass(frozen=True)
class Standing:
    """How the played fleet does."""

    devices: int
    connected: int
    # Devices by the phase of their newest update, and by what they run, such as "digits 2".
    phases: dict[Phase, int]
    releases: dict[str, int]


def make_devices(scenario: Scenario, count: int, prefix: str, random: Random) -> list[Device]:
    """Return devices in an order that mixes the groups."""
    devices: list[tuple[float, Device]] = []
    for group, size in scenario.counts(count):
        kinds, weights = list(group.hardware), list(group.hardware.values())
        devices += [(random.random(), Device("", group, kind)) for kind in random.choices(kinds, weights, k=size)]
    devices.sort(key=lambda one: one[0])
    for number, (_, device) in enumerate(devices):
        device.name = f"{prefix}-{number:05d}"
    return [device for _, device in devices]


def introductions(devices: Sequence[Device]) -> Iterator[SimulatedDevice]:
    """Say who they are to the server."""
    return (SimulatedDevice(id=device.name, hardware=device.hardware, labels=device.group.labels) for device in devices)


def make_room(devices: int) -> None:
    """Let this process hold a connection for each device; raise InvalidDocumentError where the system does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = devices + SPARE_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        expected = f"at most {hard - SPARE_FILES}, because this system lets a process open {hard} files (ulimit -Hn)"
        raise InvalidDocumentError("fleet simulate", "--devices", expected, str(devices))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))


def standing_of(devices: Sequence[Device], connected: int) -> Standing:
    """Count."""
    updates = [(model, update) for device in devices for model, update in (device.updates or {}).items()]
    running = Counter(f"{model} {update.current.release}" for model, update in updates if update.current is not None)
    return Standing(len(devices), connected, dict(Counter(update.phase for _, update in updates)), dict(running))
