"""Decides whether a command was obeyed before: the newest ones by name, and all that are older than those by their time."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel

from contracts.commands import Command, CommandId

MAX_KNOWN = 128


class Obeyed(BaseModel, frozen=True, extra="ignore"):
    """One command that was accepted."""

    id: CommandId
    issued_at: AwareDatetime


class CommandLedger(BaseModel, frozen=True, extra="ignore"):
    """What survives a restart; no clock has a say in it, so none can make an old command new."""

    # Digest of the director's list of keys under which these commands were verified; none yet is any.
    director: str = ""
    known: tuple[Obeyed, ...] = ()
    # Commands issued until then are no longer known by name, and are not obeyed.
    forgotten_until: AwareDatetime | None = None

    def has(self, command: Command, director: str) -> bool:
        """Say whether a command was obeyed before, or may have been.

        Under other keys counting starts over: no command of the old ones verifies any more, and a thief may have signed far ahead.
        """
        if not self._is_of(director):
            return False
        is_old = self.forgotten_until is not None and command.issued_at <= self.forgotten_until
        return is_old or any(each.id == command.id for each in self.known)

    def after(self, command: Command, director: str) -> CommandLedger:
        """Return the ledger with one more command."""
        mine, until = (self.known, self.forgotten_until) if self._is_of(director) else ((), None)
        known = sorted((*mine, Obeyed(id=command.id, issued_at=command.issued_at)), key=lambda each: each.issued_at)
        forgotten, kept = known[:-MAX_KNOWN], known[-MAX_KNOWN:]
        return CommandLedger(director=director, known=tuple(kept), forgotten_until=_latest(until, *(each.issued_at for each in forgotten)))

    def _is_of(self, director: str) -> bool:
        return self.director in ("", director)

    def closed_until(self, moment: datetime) -> CommandLedger:
        """Return a ledger that trusts nothing issued until a moment, because what it knew cannot be read."""
        return self.model_copy(update={"forgotten_until": _latest(self.forgotten_until, moment)})


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
