"""The outbox's real files on a disk that can be told to fail, and windows to fill them with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from agent.adapters.outbox_files import OutboxFiles
from agent.core.drawers import Label, Letter
from agent.core.outbox import Outbox
from agent.core.shelf import Dropped, Limits
from agent.errors import StateError
from contracts import codec
from contracts.messages import DeviceEvent, InferenceWindow, ReleaseRef, latency_of
from contracts.sketches import Sketch, bin_of

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
SESSION = "00112233445566aa"


class FaultyFiles(OutboxFiles):
    """Real files, until `fault` says why nothing can be written."""

    def __init__(self, folder: Path) -> None:
        """Begin in good health."""
        super().__init__(folder)
        self.fault = ""

    def append(self, label: Label, letter: Letter) -> None:
        """Fail as told."""
        self._fail()
        super().append(label, letter)

    def write(self, label: Label, letters: Sequence[Letter]) -> None:
        """Fail as told."""
        self._fail()
        super().write(label, letters)

    def sync(self, labels: Iterable[Label]) -> None:
        """Fail as told."""
        self._fail()
        super().sync(labels)

    def count(self, dropped: Dropped) -> None:
        """Fail as told."""
        self._fail()
        super().count(dropped)

    def _fail(self) -> None:
        if self.fault:
            raise StateError("outbox", self.fault)


class Clock:
    """Seconds that a test sets."""

    def __init__(self, now_s: float = 0.0) -> None:
        """Begin at `now_s`."""
        self.now_s = now_s

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s


def outbox_in(files: OutboxFiles, *, max_bytes: int = 1 << 20, max_age_s: float = 1e6, clock: Clock | None = None) -> Outbox:
    """Return an outbox as a process that starts now would have it."""
    return Outbox(files, Limits(max_bytes, max_age_s), clock or Clock())


def window(number: int, *, model: str = "digits", release: int = 1, session: str = SESSION, classes: int = 10) -> InferenceWindow:
    """Return the window of a minute's requests, the `number`-th of its model."""
    latencies = Sketch.of({bin_of(5.0 + number % 7): 90, bin_of(20.0): 10})
    return InferenceWindow(
        session=session,
        sequence=number,
        sent_at=NOON + timedelta(seconds=10 * number),
        release=ReleaseRef(model=model, release=release, manifest_sha256="ab" * 32),
        started_at=NOON + timedelta(seconds=10 * number - 10),
        window_s=10.0,
        requests=100,
        errors=1,
        latency_ms=latency_of(latencies, 7.0, 20.1),
        classes={f"class {i}": 100 // classes for i in range(classes)},
        provider="cpu",
        latencies=latencies,
        ordinal=number,
    )


def letter_of(message: InferenceWindow | DeviceEvent) -> Letter:
    """Return it as the outbox takes it."""
    return Letter("inference" if isinstance(message, InferenceWindow) else "event", codec.encode(message))


def event(number: int) -> DeviceEvent:
    """Return an event."""
    return DeviceEvent(session=SESSION, sequence=number, sent_at=NOON, kind="worker", severity="error", text="it crashed " * 20)


def drained(outbox: Outbox) -> list[Letter]:
    """Send everything."""
    letters = []
    while (letter := outbox.first()) is not None:
        letters.append(letter)
        outbox.remove(letter)
    return letters


def windows_among(letters: Iterable[Letter]) -> list[InferenceWindow]:
    """Return the windows of letters."""
    return [InferenceWindow.model_validate_json(letter.payload) for letter in letters if letter.is_window]
