"""Touches the command verifier's process: started for one question, so that the control process never loads its libraries."""

from __future__ import annotations

from agent.adapters.verifier_process import answer_of
from agent.core.command_verdict import COMMAND_VERDICT, CommandQuestion, CommandVerdict


class CommandVerifierProcess:
    """Asks `python -m agent.command_verifier`."""

    async def ask(self, question: CommandQuestion) -> CommandVerdict:
        """Return its verdict; raise VerifierError when there is none in time."""
        return await answer_of("agent.command_verifier", question, COMMAND_VERDICT)
