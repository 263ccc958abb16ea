"""Touches the credential process: started for one key or one check, because both are rare and their library is large."""

from __future__ import annotations

from typing import TypeVar

import anyio
from pydantic import BaseModel, ValidationError

from agent.adapters.beside import beside
from agent.core.renewal import Believed, Check, Follow, Make, NextKey, Span
from agent.errors import CredentialError

ANSWER_S = 60.0
Answer = TypeVar("Answer", bound=BaseModel)


class CredentialProcess:
    """Asks `python -m agent.credential`."""

    async def make(self, device: str) -> NextKey:
        """Return a new key and its request; raise CredentialError."""
        return await _ask(Make(device=device), NextKey)

    async def span(self, device: str, identity: str, authority: str) -> Span:
        """Return how long an identity is good; raise CredentialError when it is not ours."""
        return await _ask(Check(device=device, identity=identity, authority=authority), Span)

    async def follow(self, believed: str, certificate: str, voucher: str) -> Believed:
        """Return whom to believe from now on; raise CredentialError when nobody who is believed vouches for the next authority."""
        return await _ask(Follow(believed=believed, certificate=certificate, voucher=voucher), Believed)


async def _ask(question: Make | Check | Follow, kind: type[Answer]) -> Answer:
    command = beside("agent.credential")
    try:
        with anyio.fail_after(ANSWER_S):
            done = await anyio.run_process(command, input=question.model_dump_json().encode(), check=False)
    except TimeoutError as error:
        raise CredentialError(f"an answer in {ANSWER_S:g} s", "none") from error
    except OSError as error:
        raise CredentialError("the credential process", str(error)) from error
    if done.returncode:
        raise CredentialError("an answer", done.stderr.decode(errors="replace").strip()[-300:] or f"exit status {done.returncode}")
    try:
        return kind.model_validate_json(done.stdout)
    except ValidationError as error:
        raise CredentialError("an answer", f"{len(done.stdout)} bytes of something else") from error
