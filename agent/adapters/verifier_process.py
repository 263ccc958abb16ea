"""Touches the verifier process: started for one question, so that the control process never loads its libraries."""

from __future__ import annotations

from typing import TypeVar

import anyio
from pydantic import TypeAdapter, ValidationError

from agent.adapters.beside import beside
from agent.core.verdict import MAX_ANSWER_BYTES, VERDICT, Grounds, Question, Verdict
from agent.errors import VerifierError

ANSWER_S = 120.0
Answer = TypeVar("Answer")


class VerifierProcess:
    """Asks `python -m agent.verifier`."""

    async def ask(self, question: Question) -> Verdict:
        """Return its verdict; raise VerifierError when there is none in time."""
        return await answer_of("agent.verifier", question, VERDICT)


async def answer_of(module: str, question: Grounds, kind: TypeAdapter[Answer]) -> Answer:
    """Return what a module of ours answers to a question; raise VerifierError when it does not in time."""
    try:
        with anyio.fail_after(ANSWER_S):
            done = await anyio.run_process(beside(module), input=question.model_dump_json().encode(), stderr=None, check=False)
    except TimeoutError as error:
        raise VerifierError(f"none in {ANSWER_S:g} s") from error
    except OSError as error:
        raise VerifierError(str(error)) from error
    if done.returncode or len(done.stdout) > MAX_ANSWER_BYTES:
        raise VerifierError(f"exit status {done.returncode} and {len(done.stdout)} bytes")
    try:
        return kind.validate_json(done.stdout)
    except ValidationError as error:
        raise VerifierError(repr(done.stdout[:200])) from error
