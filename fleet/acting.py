"""Carries who is doing what from where a request comes in to the transaction that does it, so that both are kept together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from fleet.core.audit import MAX_NAME_CHARS, MAX_SUBJECT_CHARS, Entry, Outcome, plain, told_of


@dataclass
class Acting:
    """An act under way; it is kept once, by the first change of the database that it leads to, or else when it ends."""

    at: datetime
    source: str
    what: str
    who: str = ""
    role: str = ""
    subject: str = ""
    detail: str = ""
    request: str = ""
    # JSON that may tell what it is about.
    body: bytearray = field(default_factory=bytearray)
    outcome: Outcome = "done"
    is_kept: bool = False

    def entry(self, number: int) -> Entry:
        """Return its row."""
        subject, detail = told_of(bytes(self.body))
        return Entry(
            number=number,
            at=self.at,
            who=plain(self.who, MAX_NAME_CHARS),
            role=self.role,
            source=plain(self.source, MAX_NAME_CHARS),
            what=self.what,
            subject=plain(self.subject or subject, MAX_SUBJECT_CHARS),
            outcome=self.outcome,
            request=self.request,
            detail=self.detail or detail,
        )


# Who enrols, before it is a device.
MACHINE = "machine"
_UNDER_WAY: ContextVar[Acting | None] = ContextVar("acting", default=None)


@contextmanager
def acting(act: Acting) -> Iterator[Acting]:
    """Let what happens inside be this act; threads that are started from here know of it too."""
    before = _UNDER_WAY.set(act)
    try:
        yield act
    finally:
        _UNDER_WAY.reset(before)


def under_way() -> Acting | None:
    """Return the act that is to be kept with the next change; one that is nobody's yet is not."""
    act = _UNDER_WAY.get()
    return None if act is None or act.is_kept or not act.who else act


def introduce(who: str, role: str) -> None:
    """Say whose act it is that is under way."""
    if act := _UNDER_WAY.get():
        act.who, act.role = who, role


def naming(what: str, subject: str) -> None:
    """Say what the act under way is, once that is known."""
    if act := _UNDER_WAY.get():
        act.what, act.subject = what, subject


def concerning(subject: str) -> None:
    """Say what the act under way is about, where only whoever carries it out knows."""
    if act := _UNDER_WAY.get():
        act.subject = subject
