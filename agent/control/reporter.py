"""Makes every message the device sends: stamps it, and keeps what must wait for the link."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from agent.core.clock_floor import judged_now
from agent.core.drawers import WINDOW_LEAF, Letter
from agent.core.memory import Memory
from agent.core.outbox import Outbox
from agent.core.shelf import Dropped
from contracts import codec
from contracts.agent_config import DeviceSection
from contracts.chunks import Bitmap
from contracts.commands import CommandResult, Findings, State
from contracts.messages import Birth, DeviceEvent, InferenceWindow, Machine, Message, ModelReport, Reported, Want
from contracts.names import Runtime

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

EventKind = Literal["started", "phase", "refused", "worker", "link", "command"]
Severity = Literal["info", "warning", "error"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """What a birth says."""

    device: DeviceSection
    agent_version: str
    runtimes: dict[Runtime, str]
    machine: Machine
    session: str


@dataclass(frozen=True)
class Request:
    """How chunks are asked for."""

    window: int
    round: int
    bases: tuple[str, ...] = ()


def utc_now() -> datetime:
    """Return the time that messages carry."""
    return datetime.now(timezone.utc)


class Reporter:
    """The device's voice; it never waits, and never fails."""

    def __init__(self, identity: Identity, memory: Memory, outbox: Outbox, clock: Callable[[], datetime] = utc_now) -> None:
        """Speak for `identity`, which has judged wishes before, through `outbox`; the device's `clock` may be wrong."""
        self.identity = identity
        self.outbox = outbox
        # Set whenever there is something new for the uplink.
        self.wake = asyncio.Event()
        self.is_report_due = True
        # By which the device is known: its fingerprint, once that is known here.
        self.authority: str | None = None
        self._memory = memory
        self._clock = clock
        self._models: dict[str, ModelReport] = {}
        self._configuration: ModelReport | None = None
        self._sequence = 0
        # Windows of each model in this session.
        self._windows: dict[str, int] = {}
        self._is_in_trouble = False
        # Letters that the broker refuses for good, by its reason.
        self._refused: Counter[str] = Counter()

    def stamp(self, message: Callable[..., Message], **fields: object) -> bytes:
        """Return a message of the next sequence number, encoded."""
        self._sequence += 1
        return self._at_number(message, **fields)

    def birth(self, is_online: bool) -> bytes:
        """Return the birth; or the will, which repeats a number, because nobody hears it while all is well."""
        device = self.identity.device
        stamp = self.stamp if is_online else self._at_number
        return stamp(
            Birth,
            online=is_online,
            agent_version=self.identity.agent_version,
            hardware=device.hardware,
            targets=device.targets,
            runtimes=self.identity.runtimes,
            machine=self.identity.machine,
            labels=device.labels,
            authority=self.authority,
        )

    def reported(self) -> bytes:
        """Return the state of every model."""
        memory = self._memory
        newest = None if memory.floor is None else memory.floor.moment
        told = {"models": self._models, "configuration": self._configuration}
        return self.stamp(Reported, generation=memory.generation, newest_time=newest, refused=memory.refused, **told)

    def result(self, command: str, state: State, reason: str, findings: Findings | None) -> bytes:
        """Return how a command stands; it repeats a number, because whoever counts this device's messages does not hear it."""
        return self._at_number(CommandResult, command=command, state=state, reason=reason, findings=findings)

    def want(self, digest: str, missing: Bitmap, size: int, request: Request) -> bytes:
        """Return a request for chunks, or for a delta from one of its bases."""
        bitmap = missing.to_hex()
        return self.stamp(Want, digest=digest, bytes=size, bitmap=bitmap, window=request.window, bases=request.bases, round=request.round)

    @property
    def models(self) -> dict[str, ModelReport]:
        """Return where each model stands."""
        return dict(self._models)

    @property
    def configuration(self) -> ModelReport | None:
        """Return which settings are in force."""
        return self._configuration

    def report_model(self, model: str, report: ModelReport) -> None:
        """Say where a model stands."""
        if self._models.get(model) != report:
            self._models[model] = report
            self._wake_report()

    def report_configuration(self, report: ModelReport) -> None:
        """Say which settings are in force, and how the newest attempt at others is."""
        if self._configuration != report:
            self._configuration = report
            self._wake_report()

    def report_memory(self, memory: Memory) -> None:
        """Say which wish was verified last, and what was refused so far."""
        self._memory = memory
        self._wake_report()

    def window(self, window: InferenceWindow) -> None:
        """Pass on a worker's statistics under our own stamp."""
        fields = {name: getattr(window, name) for name in InferenceWindow.model_fields if name not in Message.model_fields}
        model = window.release.model
        self._windows[model] = fields["ordinal"] = self._windows.get(model, 0) + 1
        fields["started_at"] = self._judged(window.started_at)
        self._keep(WINDOW_LEAF, self.stamp(InferenceWindow, **fields))

    def event(self, kind: EventKind, severity: Severity, text: str, model: str | None = None, facts: dict[str, str] | None = None) -> None:
        """Tell the log now and the fleet as soon as it can be reached."""
        log.log(_LEVELS[severity], "%s%s: %s", kind, f" {model}" if model else "", text)
        event = self.stamp(DeviceEvent, kind=kind, severity=severity, model=model, text=text[:1000], facts=facts or {})
        self._keep("event", event)

    def give_up(self, letter: Letter, reason: str) -> None:
        """Take out what the broker refuses for good, and count it by its reason."""
        self.outbox.refuse(letter)
        self._refused[reason] += 1

    def tell_dropped(self) -> bool:
        """Tell the fleet what was given up since it was told last; say whether there was anything."""
        dropped = self.outbox.dropped
        if dropped == Dropped():
            return False
        facts = self.take_dropped()
        text = f"{dropped.windows} windows and {dropped.others} other messages were given up before they could be sent"
        refused = f"; the broker refused for good: {facts['refused']}" if "refused" in facts else ""
        self.event("link", "warning", text + refused, facts=facts)
        return True

    def take_dropped(self) -> dict[str, str]:
        """Return what was given up, and why if the broker said so, as an event tells it; count anew."""
        dropped = self.outbox.dropped
        self.outbox.told(dropped)
        counts = {"dropped": dropped.windows + dropped.others, "dropped_windows": dropped.windows, "dropped_others": dropped.others}
        facts = {name: str(count) for name, count in counts.items()}
        if self._refused:
            facts["refused"] = ", ".join(f"{count} {reason}" for reason, count in sorted(self._refused.items()))
            self._refused.clear()
        return facts

    def tell_trouble(self) -> None:
        """Say once when the disk does not take what waits for the link, and once when it does again."""
        trouble = self.outbox.trouble
        if bool(trouble) == self._is_in_trouble:
            return
        self._is_in_trouble = bool(trouble)
        if trouble:
            self.event("link", "warning", f"what waits for the link is kept in memory only: {trouble}")
        else:
            self.event("link", "info", "what waits for the link is kept on the disk again")

    def _at_number(self, message: Callable[..., Message], **fields: object) -> bytes:
        return codec.encode(message(session=self.identity.session, sequence=self._sequence, sent_at=self._judged(self._clock()), **fields))

    def _keep(self, leaf: str, payload: bytes) -> None:
        self.outbox.put(Letter(leaf, payload))
        self.wake.set()
        self.tell_trouble()

    def _judged(self, clock: datetime) -> datetime:
        return judged_now(clock, self._memory.floor)

    def _wake_report(self) -> None:
        self.is_report_due = True
        self.wake.set()
