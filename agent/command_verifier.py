"""The verifier process of commands: decides whether one is genuine, for this device, in time and new.

It stands on the same metadata as a wish: the director signs commands with a key that the release key lists. A broker in wrong hands can
keep a command back; it can make none, and repeat none.
"""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from pathlib import Path

from agent import asked
from agent.core.clock_floor import judged_now, standing
from agent.core.command_verdict import CommandQuestion, CommandVerdict, CommandVerified
from agent.verifier import (
    MAX_QUESTION_BYTES,
    RefusalError,
    answer,
    director_keys,
    judged,
    open_envelope,
    raised_floor,
    refreshed,
    timestamp_keys,
)
from contracts import codec
from contracts.commands import COMMAND_PAYLOAD_TYPE, MAX_COMMAND_BYTES, Command
from contracts.errors import ContractError


def verify(question: CommandQuestion, clock: datetime) -> CommandVerdict:
    """Check everything between the provisioned root and the command; `clock` is the system's."""
    return judged(lambda: _verify(question, clock))


def _verify(question: CommandQuestion, clock: datetime) -> CommandVerified:
    updater = refreshed(question, clock)
    now = judged_now(clock, standing(question.memory.floor, timestamp_keys(question)))
    keys, director = director_keys(updater, Path(question.mirror_dir))
    payload = open_envelope("command", base64.b64decode(question.envelope), keys, COMMAND_PAYLOAD_TYPE)
    try:
        command = codec.decode(Command, payload, name="command", max_bytes=MAX_COMMAND_BYTES)
    except ContractError as error:
        # The director signed it, so it is no attack: a newer fleet asks for something that this agent does not know.
        raise RefusalError("unsupported", str(error)) from error
    _check(command, question, director, now)
    memory = question.memory.model_copy(update={"floor": raised_floor(question, command.issued_at)})
    return CommandVerified(command=command, memory=memory, ledger=question.ledger.after(command, director))


def _check(command: Command, question: CommandQuestion, director: str, now: datetime) -> None:
    if command.device != question.device:
        raise RefusalError("wrong_device", f"command: expected one for {question.device}, found one for {command.device}")
    if command.id != question.topic_id:
        raise RefusalError("forged", f"command: expected id {question.topic_id} as its topic says, found {command.id}")
    if question.ledger.has(command, director):
        raise RefusalError("replayed", f"command {command.id}: expected one that was never obeyed, found one that was")
    if command.expires_at <= now:
        found = f"expected an expiry after {now.isoformat()}, found {command.expires_at.isoformat()}"
        raise RefusalError("expired", f"command {command.id}: {found}")


def main() -> None:
    """Answer one question on stdin by one line on stdout."""
    raw = asked.question(MAX_QUESTION_BYTES)
    question = codec.decode(CommandQuestion, raw, name="question", max_bytes=MAX_QUESTION_BYTES)
    answer(lambda: verify(question, datetime.now(timezone.utc)), question)


if __name__ == "__main__":
    main()
