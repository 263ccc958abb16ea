"""What is remembered of one played device, and how it speaks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from contracts import codec
from contracts.lifecycle import Phase
from contracts.messages import Message, Outcome, ReleaseRef
from fleet.simulate.scenario import Behaviour, Group

WRONG_BY = timedelta(days=-9000)
NEVER = math.inf


class Say(NamedTuple):
    """A message, and how it is published."""

    leaf: str
    payload: bytes
    qos: int
    retain: bool


class Pace(NamedTuple):
    """How often a device tells of its health and of its work."""

    health_interval_s: float
    window_s: float


class Update:
    """One model on a device; a record, because there are many."""

    __slots__ = ("candidate", "current", "end", "is_shadow", "last", "phase", "previous", "reason", "result", "until_s")

    def __init__(self) -> None:
        """Nothing was wished yet."""
        self.phase = Phase.OFFERED
        self.current: ReleaseRef | None = None
        self.previous: ReleaseRef | None = None
        self.candidate: ReleaseRef | None = None
        self.last: Outcome | None = None
        # The phase after which it ends, and why; COMMITTED for a good end.
        self.end = Phase.COMMITTED
        # As what it then ends.
        self.result = Phase.COMMITTED
        self.reason = ""
        self.until_s = NEVER
        # The candidate is to run beside what serves, until it is wished in earnest.
        self.is_shadow = False


class SettingsUpdate(Update):
    """The settings of a device that its fleet has set."""

    __slots__ = ("pace", "pace_on_trial")

    def __init__(self, current: ReleaseRef, pace: Pace) -> None:
        """Begin with what is in force."""
        super().__init__()
        self.current = current
        self.pace = self.pace_on_trial = pace

    @property
    def pace_now(self) -> Pace:
        """Return the rhythm in force: new settings are proved by living with them."""
        return self.pace_on_trial if self.phase is Phase.PROBATION else self.pace


class Device:
    """What is remembered of one device; a record, because there are many."""

    __slots__ = (
        "boot_s",
        "generation",
        "group",
        "hardware",
        "health_s",
        "leave_s",
        "name",
        "ordinal",
        "sequence",
        "session",
        "settings",
        "updates",
        "window_s",
    )

    def __init__(self, name: str, group: Group, hardware: str) -> None:
        """It has not been switched on."""
        self.name = name
        self.group = group
        self.hardware = hardware
        self.session = ""
        self.sequence = 0
        self.generation = 0
        self.ordinal = 0
        self.updates: dict[str, Update] | None = None
        self.settings: SettingsUpdate | None = None
        self.boot_s = 0.0
        # When it next speaks of its health and work, and when its link breaks, in seconds since 1970.
        self.health_s = self.window_s = self.leave_s = NEVER

    @property
    def next_s(self) -> float:
        """Return when something is due."""
        steps = (update.until_s for update in self.updates.values()) if self.updates else ()
        settings_s = NEVER if self.settings is None else self.settings.until_s
        return min(self.health_s, self.window_s, self.leave_s, settings_s, *steps)

    @property
    def serving(self) -> list[tuple[str, Update]]:
        """Return the models that it serves."""
        return [(model, update) for model, update in (self.updates or {}).items() if update.current is not None]

    def clock(self, now_s: float) -> datetime:
        """Return what it takes for the time."""
        moment = datetime.fromtimestamp(now_s, timezone.utc)
        return moment + WRONG_BY if self.group.behaviour is Behaviour.WRONG_CLOCK else moment

    def say(self, leaf: str, kind: type[Message], now_s: float, fields: Mapping[str, object], *, is_kept: bool = False) -> Say:
        """Return its next message; health alone may be lost."""
        self.sequence += 1
        stamp = {"session": self.session, "sequence": self.sequence, "sent_at": self.clock(now_s)}
        return Say(leaf, codec.encode(kind.model_validate({**stamp, **fields})), 0 if leaf == "health" else 1, is_kept)
