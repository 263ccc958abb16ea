"""Listens for the fleet's wish and the metadata that proves it, and passes on what the verifier accepts."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from agent.control.ports.trust import TrustFiles, Verifier
from agent.control.reporter import Reporter
from agent.core.memory import Memory
from agent.core.verdict import Question, Refused, Verified
from agent.errors import StateError, VerifierError
from contracts.codec import sha256_of
from contracts.configuration import Configuration
from contracts.messages import ReleaseRef
from contracts.shadow import ShadowTerms
from contracts.trust import MAX_ENVELOPE_BYTES, MAX_TRUST_FILE_BYTES

# Trust files come in bursts: wait until one is over before starting a process to read them.
QUIET_S = 0.3
RETRY_S = 30.0
MAX_REFUSALS_REMEMBERED = 64
# What a disk that is full or broken does not take waits in memory.
MAX_UNSAVED = 16
ENVELOPE = "desired"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """One model's verified wish."""

    release: ReleaseRef
    manifest_bytes: int
    # Servers that the release names for its files.
    sources: tuple[str, ...] = ()
    # It shall not serve, but run beside what does.
    shadow: ShadowTerms | None = None


class Wishes:
    """The way from an untrusted message to a verified wish."""

    def __init__(
        self,
        files: TrustFiles,
        verifier: Verifier,
        reporter: Reporter,
        root_file: str,
        on_wishes: Callable[[dict[str, Wish], int, Configuration | None], None],
        retry_s: float = RETRY_S,
    ) -> None:
        """Tell `on_wishes` of every verified document: by model, its generation, and how the agent shall be set."""
        self._retry_s = retry_s
        self._files = files
        self._verifier = verifier
        self._reporter = reporter
        self._root_file = root_file
        self._on_wishes = on_wishes
        self._changed = asyncio.Event()
        # What was told once is not told again at the next trust file.
        self._envelope = ""
        # Held while somebody judges: the folder of metadata and the memory of verdicts are one judge's at a time.
        self.turn = anyio.Lock()
        self._unsaved: dict[str, bytes] = {}
        self._refused: deque[tuple[str, str, str]] = deque(maxlen=MAX_REFUSALS_REMEMBERED)
        # Refused at their sight, and told of when no judge is at work.
        self._too_large: deque[Refused] = deque(maxlen=MAX_UNSAVED)

    async def hear_trust_file(self, name: str, raw: bytes) -> None:
        """Take a file of the TUF repository."""
        if self._is_bounded(name, raw, MAX_TRUST_FILE_BYTES):
            await self._keep(name, raw)

    async def hear_desired(self, raw: bytes) -> None:
        """Take a desired message."""
        if self._is_bounded(ENVELOPE, raw, MAX_ENVELOPE_BYTES):
            await self._keep(ENVELOPE, raw)

    async def run(self) -> None:
        """Verify again whenever anything changed, and once at the start with what is on disk."""
        self._changed.set()
        while True:
            await self._changed.wait()
            while self._changed.is_set():
                self._changed.clear()
                await asyncio.sleep(QUIET_S)
            try:
                await self._keep_unsaved()
                await self._refuse_too_large()
                if self._files.has_envelope():
                    async with self.turn:
                        await self._verify()
            except (VerifierError, StateError) as error:
                log.error("%s; trying again in %g s", error, self._retry_s)
                await asyncio.sleep(self._retry_s)
                self._changed.set()

    def _is_bounded(self, name: str, raw: bytes, max_bytes: int) -> bool:
        if len(raw) <= max_bytes:
            return True
        self._too_large.append(Refused(refusal="endless_data", reason=f"{name}: expected at most {max_bytes} bytes, found {len(raw)}"))
        self._changed.set()
        return False

    async def _refuse_too_large(self) -> None:
        while self._too_large:
            async with self.turn:
                await self._refuse(self._too_large[0])
            self._too_large.popleft()

    async def _keep(self, name: str, raw: bytes) -> None:
        self._unsaved.pop(name, None)
        try:
            await self._save(name, raw)
        except StateError as error:
            log.error("%s; it is kept in memory meanwhile", error)
            # Retained messages come again at the next connection, should there be too many.
            if len(self._unsaved) < MAX_UNSAVED:
                self._unsaved[name] = raw
            self._changed.set()

    async def _keep_unsaved(self) -> None:
        for name, raw in list(self._unsaved.items()):
            await self._save(name, raw)
            if self._unsaved.get(name) is raw:
                del self._unsaved[name]

    async def _save(self, name: str, raw: bytes) -> None:
        if name != ENVELOPE:
            is_new = await anyio.to_thread.run_sync(self._files.put, name, raw)
        elif is_new := await anyio.to_thread.run_sync(self._files.put_envelope, raw):
            self._envelope = sha256_of(raw)
        if is_new:
            self._changed.set()

    async def _verify(self) -> None:
        device = self._reporter.identity.device
        question = Question(
            root_file=self._root_file,
            mirror_dir=str(self._files.mirror_dir),
            envelope_file=str(self._files.envelope_file),
            cache_dir=str(self._files.cache_dir),
            device=device.id,
            targets=device.targets,
            memory=self._files.memory(),
        )
        verdict = await self._verifier.ask(question)
        if isinstance(verdict, Verified):
            await self._follow(verdict)
        else:
            await self._refuse(verdict)

    async def _follow(self, verdict: Verified) -> None:
        desired = verdict.desired
        await self._remember(verdict.memory)
        lengths, sources = verdict.manifest_bytes, verdict.sources
        wishes = {model: Wish(release, lengths[model], sources.get(model, ())) for model, release in desired.models.items()}
        for model, shadow in (desired.shadow or {}).items():
            wishes[model] = Wish(shadow.release, lengths[model], sources.get(model, ()), shadow.terms)
        self._on_wishes(wishes, desired.generation, desired.configuration)

    async def _refuse(self, refused: Refused) -> None:
        if refused.refusal == "incomplete":
            log.info("waiting for trust files: %s", refused.reason)
            return
        refusal = (refused.refusal, refused.reason, self._envelope)
        if refusal not in self._refused:
            await self._remember(self._files.memory().after_refusal(refused.refusal))
            self._refused.append(refusal)
            self._reporter.event("refused", "error", refused.reason, facts={"class": refused.refusal})

    async def _remember(self, memory: Memory) -> None:
        await anyio.to_thread.run_sync(self._files.remember, memory)
        self._reporter.report_memory(memory)
