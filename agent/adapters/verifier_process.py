"""Touches the verifier process: started for one question, so that the control process never loads its libraries."""

from __future__ import annotations

import asyncio
import sys

from pydantic import ValidationError

from agent.core.verdict import MAX_ANSWER_BYTES, VERDICT, Question, Verdict
from agent.errors import VerifierError

ANSWER_S = 120.0


class VerifierProcess:
    """Asks `python -m agent.verifier`."""

    async def ask(self, question: Question) -> Verdict:
        """Return its verdict; raise VerifierError when there is none in time."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent.verifier", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            answer, _ = await asyncio.wait_for(process.communicate(question.model_dump_json().encode()), ANSWER_S)
        except asyncio.TimeoutError as error:
            raise VerifierError(f"none in {ANSWER_S:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode or len(answer) > MAX_ANSWER_BYTES:
            raise VerifierError(f"exit status {process.returncode} and {len(answer)} bytes")
        try:
            return VERDICT.validate_json(answer)
        except ValidationError as error:
            raise VerifierError(repr(answer[:200])) from error
