"""Lets only genuine commands through, each once: bounded in size and rate, judged in a process of its own, remembered before obeyed."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import anyio

from agent.control.ports.commands import CommandVerifier, Ledger
from agent.control.ports.trust import TrustFiles
from agent.control.reporter import Reporter
from agent.core.allowance import Allowance
from agent.core.command_verdict import CommandQuestion, CommandVerified
from agent.core.verdict import RefusalClass, Refused
from agent.errors import StateError, VerifierError
from contracts.commands import MAX_COMMAND_BYTES, Command
from contracts.topics import parse_command

# People ask now and then. Whoever can publish what he likes gets no more of our processor than this: a verifier is a second of it.
MAX_WAITING, MAX_AT_ONCE, MAX_PER_S = 8, 10, 0.2
MAX_REFUSALS_REMEMBERED = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judging:
    """Who judges, over what, and whose turn it is: the folder of metadata and the memory of verdicts are one judge's at a time."""

    verifier: CommandVerifier
    files: TrustFiles
    ledger: Ledger
    root_file: str
    turn: anyio.Lock


class CommandGate:
    """The way from an untrusted message to a genuine command."""

    def __init__(self, judging: Judging, reporter: Reporter, now: Callable[[], datetime]) -> None:
        """Judge with `judging`; `now` is never behind the newest signed time."""
        self._judging = judging
        self._reporter = reporter
        self._now = now
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING)
        self._allowance = Allowance(MAX_AT_ONCE, MAX_PER_S)
        # Those that wait, and the one that is being judged.
        self._at_hand: set[str] = set()
        # What was told and counted once is not counted again when the same is sent again.
        self._refused: deque[tuple[str, str]] = deque(maxlen=MAX_REFUSALS_REMEMBERED)

    def hear(self, topic: str, raw: bytes) -> bool:
        """Take a message, unless it is no command's or there are too many; say whether it was one."""
        found = parse_command(topic)
        if found is None:
            return False
        if found.command in self._at_hand:
            return True  # the fleet says again what nobody has taken yet
        if self._waiting.full() or not self._allowance.takes(time.monotonic()):
            log.warning("command %s: expected at most %g a second, found more; it is dropped", found.command, MAX_PER_S)
        else:
            self._at_hand.add(found.command)
            self._waiting.put_nowait((found.command, raw[: MAX_COMMAND_BYTES + 1]))
        return True

    async def next(self) -> Command:
        """Return the next genuine command, which was remembered and is not let through again."""
        while True:
            number, raw = await self._waiting.get()
            try:
                async with self._judging.turn:
                    command = await self._judge(number, raw)
            except (VerifierError, StateError) as error:
                log.error("command %s: %s; it is not obeyed", number, error)
                continue
            finally:
                self._at_hand.discard(number)
            if command is not None:
                return command

    async def _judge(self, number: str, raw: bytes) -> Command | None:
        if len(raw) > MAX_COMMAND_BYTES:
            await self._refuse(number, "endless_data", f"command: expected at most {MAX_COMMAND_BYTES} bytes, found more")
            return None
        verdict = await self._judging.verifier.ask(await self._question(number, raw))
        if isinstance(verdict, Refused):
            if verdict.refusal == "incomplete":
                # The fleet repeats a command until we say that we have it.
                log.info("command %s: waiting for trust files: %s", number, verdict.reason)
            else:
                await self._refuse(number, verdict.refusal, verdict.reason)
            return None
        await self._remember(verdict)
        return verdict.command

    async def _question(self, number: str, raw: bytes) -> CommandQuestion:
        files = self._judging.files
        return CommandQuestion(
            root_file=self._judging.root_file,
            mirror_dir=str(files.mirror_dir),
            cache_dir=str(files.cache_dir),
            device=self._reporter.identity.device.id,
            memory=files.memory(),
            topic_id=number,
            envelope=base64.b64encode(raw).decode(),
            ledger=await anyio.to_thread.run_sync(self._judging.ledger.load, self._now()),
        )

    async def _remember(self, verdict: CommandVerified) -> None:
        await anyio.to_thread.run_sync(self._judging.ledger.keep, verdict.ledger)
        await anyio.to_thread.run_sync(self._judging.files.remember, verdict.memory)
        self._reporter.report_memory(verdict.memory)

    async def _refuse(self, number: str, refusal: RefusalClass, reason: str) -> None:
        if (number, refusal) in self._refused:
            return
        memory = self._judging.files.memory().after_refusal(refusal)
        await anyio.to_thread.run_sync(self._judging.files.remember, memory)
        self._refused.append((number, refusal))
        self._reporter.report_memory(memory)
        self._reporter.event("refused", "error", reason, facts={"class": refusal, "command": number})
