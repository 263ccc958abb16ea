"""What the control process asks the command verifier, and what it answers: one JSON line each way."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter

from agent.core.command_ledger import CommandLedger
from agent.core.memory import Memory
from agent.core.verdict import Grounds, Refused
from contracts.commands import MAX_COMMAND_BYTES, Command, CommandId


class CommandQuestion(Grounds):
    """A command as it came, and those that were obeyed before."""

    # Under which it was published; whoever may publish there can choose it.
    topic_id: CommandId
    # In base64: whatever bytes came, the question stays small.
    envelope: Annotated[str, Field(max_length=4 * (MAX_COMMAND_BYTES // 3 + 1))]
    ledger: CommandLedger


class CommandVerified(BaseModel, frozen=True, extra="forbid"):
    """The command is genuine, for this device, in time and new."""

    kind: Literal["verified"] = "verified"
    command: Command
    # What to remember before it is obeyed.
    memory: Memory
    ledger: CommandLedger


CommandVerdict = Annotated[CommandVerified | Refused, Field(discriminator="kind")]
COMMAND_VERDICT: TypeAdapter[CommandVerdict] = TypeAdapter(CommandVerdict)
