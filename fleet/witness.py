"""Answers what the conductor asks of a rollout's devices: a gate's evidence, and what those that were lost have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from contracts.lifecycle import Phase
from contracts.messages import Health
from fleet.core.blame import blame
from fleet.core.devices import HeardDevice
from fleet.core.gates.evidence import Evidence
from fleet.core.rollout.model import LOST, Rollout
from fleet.core.traits import case_of
from fleet.testimony import Records, evidence_of

# Half of them lost ones at most, so that there is somebody to compare them with.
MAX_CASES = 2000


class Devices(Protocol):
    """The fleet, and what it said last."""

    def heard(self) -> Sequence[HeardDevice]:
        """Return every device with its newest words."""


class Words(Protocol):
    """The newest message of each kind of each device."""

    def bodies(self, leaf: str, devices: Sequence[str]) -> Mapping[str, str]:
        """Return the newest message of a kind of some devices."""


class Witness:
    """Asks the store, and only about those devices that are compared."""

    def __init__(self, records: Records, devices: Devices, words: Words) -> None:
        """Nothing is read yet."""
        self._records = records
        self._devices = devices
        self._words = words

    def evidence(self, rollout: Rollout) -> Evidence:
        """Return what is known of those that have the release, and of those to compare them with, since the first had it."""
        return evidence_of(self._records, rollout)

    def blame(self, rollout: Rollout) -> tuple[str, ...]:
        """Return what sets the lost devices apart from those that committed, in sentences; nothing when it may as well be luck."""
        lost = [member for member in rollout.members.values() if member.phase in LOST][: MAX_CASES // 2]
        if not lost:
            return ()
        passed = [member for member in rollout.members.values() if member.phase is Phase.COMMITTED]
        heard = {one.device.id: one for one in self._devices.heard()}
        judged = {member.device: member for member in [*lost, *passed[: MAX_CASES - len(lost)]] if member.device in heard}
        bodies = self._words.bodies("health", list(judged))
        healths = {device: Health.model_validate_json(body) for device, body in bodies.items()}
        heats = self._records.heats.at({device: member.outcome_at for device, member in judged.items() if member.outcome_at is not None})
        model = rollout.release.model
        cases = [case_of(member, model, heard[device], healths.get(device), heats.get(device)) for device, member in judged.items()]
        return tuple(finding.sentence for finding in blame(cases))
