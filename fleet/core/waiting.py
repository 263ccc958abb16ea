"""Decides which chunks to publish next: one publication feeds all who lack it, files take turns, and nobody gets more than it asked for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

# Devices that were told of a release at one time ask for its files at nearly one time: each waits so long for the next, all only so long.
# Every file of every release waits, also for one device alone; who comes a little later is fed by what `FEW` allows.
GATHER_S = 0.02
LONGEST_GATHER_S = 0.2
# Where no more than one in so many has a chunk, all get it again: cheaper than one for each of those who lack it.
FEW = 9
# What went out so short a time before a new round may be among what the round brings; later it counts as lost.
HOLD_S = 0.5
# Who got all that it lacked needs this long, at most, to notice and listen no more.
LEAVES_AFTER_S = 5.0
# Who has not asked for so long is gone.
FORGET_AFTER_S = 120.0


@dataclass(frozen=True)
class Publication:
    """One piece of one file, for everybody or for one device alone."""

    digest: str
    index: int
    device: str | None = None


@dataclass(frozen=True)
class Request:
    """A device's newest want; what was sent in another round is lost."""

    device: str
    digest: str
    round: tuple[str, int] | None
    # Bit i for chunk i.
    missing: int
    window: int


@dataclass
class _Listener:
    """One device that waits for one file."""

    request: Request
    heard_at_s: float
    # What was published in this round while it listened.
    sent: int = 0
    # Of these, what went out before this round, and until when it may still come.
    held: int = 0
    held_until_s: float = 0.0

    def let_go(self, now_s: float) -> None:
        """Take what was held for too long as lost."""
        if self.held and now_s >= self.held_until_s:
            self.sent &= ~self.held
            self.held = 0

    @property
    def lacks(self) -> int:
        return self.request.missing & ~self.sent

    @property
    def has_credit(self) -> bool:
        return (self.request.missing & self.sent).bit_count() < self.request.window


@dataclass
class _File:
    """All who wait for one file; the first of them has the next turn."""

    begun_at_s: float
    opens_at_s: float
    listeners: OrderedDict[str, _Listener] = field(default_factory=OrderedDict)
    # When each chunk went out last, of those of a moment ago.
    recent: dict[int, float] = field(default_factory=dict)

    def on_its_way(self, now_s: float) -> int:
        """Return what went out a moment ago."""
        self.recent = {index: sent_s for index, sent_s in self.recent.items() if now_s - sent_s < HOLD_S}
        return sum(1 << index for index in self.recent)


@dataclass
class WaitingRoom:
    """Who waits for what; times are monotonic seconds. A device waits for one file at a time."""

    # The first file has the next turn.
    _files: OrderedDict[str, _File] = field(default_factory=OrderedDict)
    _file_of: dict[str, str] = field(default_factory=dict)

    def hear(self, request: Request, now_s: float) -> None:
        """Take a device's newest want; it replaces the one before, and who lacks nothing leaves."""
        if self._file_of.get(request.device) != request.digest or not request.missing:
            self._leave(request.device)
        if not request.missing:
            return
        file = self._files.get(request.digest)
        if file is None:
            file = self._files[request.digest] = _File(now_s, now_s + GATHER_S)
        elif request.device not in file.listeners and now_s < file.opens_at_s:
            file.opens_at_s = min(file.begun_at_s + LONGEST_GATHER_S, now_s + GATHER_S)
        known = file.listeners.get(request.device)
        is_same_round = known is not None and request.round is not None and known.request.round == request.round
        if known is not None and is_same_round:
            known.request, known.heard_at_s = request, now_s
        else:
            held = file.on_its_way(now_s) if request.round is not None else 0
            file.listeners[request.device] = _Listener(request, now_s, held, held, now_s + HOLD_S)
        self._file_of[request.device] = request.digest

    def forget(self, digest: str) -> None:
        """Drop every want for a file that cannot be read."""
        for device in list(self._files[digest].listeners) if digest in self._files else ():
            self._leave(device)

    def due(self, now_s: float, limit: int) -> tuple[Publication, ...]:
        """Return up to about `limit` chunks to publish now, and take them as published."""
        self._forget_the_silent(now_s)
        batch: list[Publication] = []
        idle = 0
        while self._files and idle < len(self._files) and len(batch) < limit:
            digest, file = next(iter(self._files.items()))
            self._files.move_to_end(digest)
            found = _next_of(digest, file, now_s) if now_s >= file.opens_at_s else []
            batch += found
            idle = 0 if found else idle + 1
        return tuple(batch)

    def next_in_s(self, now_s: float) -> float | None:
        """Return when a chunk is due if nothing is heard meanwhile; None for never."""
        opening = []
        for file in self._files.values():
            for listener in file.listeners.values():
                if listener.lacks and listener.has_credit:
                    opening.append(max(0.0, file.opens_at_s - now_s))
                elif listener.held & listener.request.missing:
                    opening.append(max(0.0, listener.held_until_s - now_s))
        return min(opening, default=None)

    def _leave(self, device: str) -> None:
        digest = self._file_of.pop(device, None)
        if digest is not None:
            file = self._files[digest]
            del file.listeners[device]
            if not file.listeners:
                del self._files[digest]

    def _forget_the_silent(self, now_s: float) -> None:
        silent = [
            device
            for file in self._files.values()
            for device, listener in file.listeners.items()
            if now_s - listener.heard_at_s > FORGET_AFTER_S
        ]
        for device in silent:
            self._leave(device)


def _next_of(digest: str, file: _File, now_s: float) -> list[Publication]:
    """Take the next chunk of a file, for whom it is due longest; all who lack it are fed."""
    for listener in file.listeners.values():
        listener.let_go(now_s)
    device = next((name for name, listener in file.listeners.items() if listener.lacks and listener.has_credit), None)
    if device is None:
        return []
    lacks = file.listeners[device].lacks
    bit = lacks & -lacks
    index = bit.bit_length() - 1
    file.listeners.move_to_end(device)
    listening = {
        name: listener for name, listener in file.listeners.items() if listener.lacks or now_s - listener.heard_at_s < LEAVES_AFTER_S
    }
    lacking = [name for name, listener in listening.items() if listener.lacks & bit]
    if len(listening) - len(lacking) <= len(listening) // FEW:
        fed, publications = lacking, [Publication(digest, index)]
    else:
        # On the shared topic it would come twice to many.
        fed = [name for name in lacking if listening[name].has_credit]
        publications = [Publication(digest, index, name) for name in fed]
    for name in fed:
        file.listeners[name].sent |= bit
    file.recent[index] = now_s
    return publications
