"""The rollouts of the fleet that moves: devices take their turn one after another, as time passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from contracts.lifecycle import FINAL, Phase
from fleet.errors.rollouts import UnknownRolloutError
from fleet.views.rollouts import RolloutDeviceView, RolloutView
from tests.sim.moving_cast import (
    Character,
    moment,
    ref,
)

# How far the rollout is at the start, and when the last device has its turn.
UNDER_WAY_S, TURNS_S = 80, 110
# When each phase of the rollout begins on a device, in seconds after its turn came.
SCHEDULE = (
    (0.0, Phase.OFFERED),
    (2.0, Phase.FETCHING),
    (14.0, Phase.STAGING),
    (17.0, Phase.TESTING),
    (20.0, Phase.SWITCHING),
    (21.0, Phase.PROBATION),
    (30.0, Phase.COMMITTED),
)


class MovingRollouts:
    """One rollout that is under way and one that is over; `now` gives seconds since the epoch, `speed` hurries the former."""

    def __init__(self, characters: Mapping[str, Character], now: Callable[[], float], speed: float) -> None:
        """The rollout of release 3 began a while ago."""
        self._now = now
        self._speed = speed
        self._characters = characters
        self._ids = sorted(characters)
        self.start = now() - UNDER_WAY_S / speed

    def rollout(self, rollout: int) -> RolloutView:
        """Return one by its number; raise UnknownRolloutError."""
        if rollout not in (1, 2) or not self._ids:
            raise UnknownRolloutError(rollout)
        return self.past() if rollout == 1 else self.current()

    def current(self) -> RolloutView:
        """Return the one under way."""
        devices = tuple(self.member(self._characters[id_]) for id_ in self._ids)
        is_over = all(device.phase in FINAL for device in devices)
        return RolloutView(
            id=2,
            release=ref(3),
            query="all",
            state="failed" if is_over else "running",
            state_reason="some devices rolled back" if is_over else "",
            started_at=moment(self.start),
            ended_at=None,
            counts=dict(Counter(device.phase for device in devices)),
            devices=devices,
        )

    def past(self) -> RolloutView:
        """Return the one that is over."""
        members = [
            RolloutDeviceView(device=id_, phase=Phase.COMMITTED, progress=1.0, reason="") for id_ in self._ids[: len(self._ids) // 2]
        ]
        return RolloutView(
            id=1,
            release=ref(2),
            query="hw = rpi5 or hw = coral",
            state="succeeded",
            state_reason="",
            started_at=moment(self.start - 90000),
            ended_at=moment(self.start - 89000),
            counts={Phase.COMMITTED: len(members)},
            devices=tuple(members),
        )

    def member(self, character: Character) -> RolloutDeviceView:
        """Return where a device stands in the one under way."""
        phase, progress = self.phase(character)
        reason = {Phase.ROLLED_BACK: "golden set: largest difference 0.31, allowed 0.05", Phase.OFFERED: "waits for the device"}.get(
            phase, ""
        )
        return RolloutDeviceView(device=character.id, phase=phase, progress=progress, reason=reason)

    def phase(self, character: Character) -> tuple[Phase, float]:
        """Devices take their turn one after another; some stay behind."""
        since = (self._now() - self.start) * self._speed - TURNS_S * character.number / max(1, len(self._ids))
        if since < 0 or character.is_new:
            return Phase.PLANNED, 0.0
        if character.is_offline:
            return Phase.OFFERED, 0.0
        phase = [found for begins, found in SCHEDULE if begins <= since][-1]
        if phase in (Phase.SWITCHING, Phase.PROBATION, Phase.COMMITTED) and character.rolls_back:
            phase = Phase.ROLLED_BACK
        return phase, min(1.0, max(0.0, (since - 2) / 12))
