"""Who is in the fleet that moves: what is peculiar about each device, always the same for its number."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from contracts.codec import sha256_of
from contracts.messages import ReleaseRef

HARDWARE = ("rpi5", "jetson-orin", "coral", "rpi4")
PREFERRED = {"rpi5": "XNNPACK", "jetson-orin": "TensorrtExecutionProvider", "coral": "EdgeTPU", "rpi4": "XNNPACK"}
CLASSES = ("fieldfare", "blackbird", "song thrush", "redwing", "robin", "none")
MODEL = "birds"
HEALTH_EVERY_S = 10
GIB = 1 << 30


def ref(release: int, model: str = MODEL) -> ReleaseRef:
    """Name a release."""
    return ReleaseRef(model=model, release=release, manifest_sha256=sha256_of(f"{model} {release}".encode()))


@dataclass(frozen=True)
class Character:
    """What is peculiar about one device."""

    number: int
    is_offline: bool
    is_new: bool
    falls_back: bool
    rolls_back: bool

    @property
    def hardware(self) -> str:
        return HARDWARE[self.number % len(HARDWARE)]

    @property
    def id(self) -> str:
        return f"{self.hardware}-{self.number:04d}"


def character_of(number: int) -> Character:
    """Draw a device's peculiarities; the first nine are always these."""
    if number < 9:
        return Character(number, number == 3, number == 5, number == 1, number == 6)
    chance = random.Random(number)
    return Character(number, chance.random() < 0.05, chance.random() < 0.02, chance.random() < 0.03, chance.random() < 0.04)


def providers_of(character: Character) -> tuple[str, str]:
    """Return what its worker runs on, and what it would rather."""
    preferred = PREFERRED[character.hardware]
    return ("CPUExecutionProvider" if character.falls_back else preferred), preferred


def wave(character: Character, at: float, period_s: float) -> float:
    """Return what goes up and down, from 0 to 2."""
    return 1 + math.sin(at / period_s * math.tau + character.number)


def moment(epoch_s: float) -> datetime:
    """Return aware UTC."""
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=epoch_s)
