"""What is kept on the disk of a command that was taken, until its result arrived: so that an agent that dies over it can say so."""

from __future__ import annotations

from pydantic import AwareDatetime

from contracts.commands import MAX_RESULT_BYTES, Command
from contracts.grown import Grown

# A result as text, and what was asked.
MAX_RECORD_BYTES = 2 * MAX_RESULT_BYTES


class CommandRecord(Grown, frozen=True, extra="ignore"):
    """A command that is under way, or the encoded result that nobody has acknowledged yet."""

    command: Command
    # When its result is of no use to anybody any more, by a clock that may be wrong.
    until: AwareDatetime
    # None while it is under way. A picture is never kept on the disk for later, so a command for one is under way until it arrived.
    result: str | None = None
