"""Starts workers so that each is proved on this very platform: its engine fits, and how its golden set went is noted and told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from agent.control.engines import Engines
from agent.control.ports.proof import PlatformFacts, ReleaseNotes
from agent.control.ports.workers import Launcher, Process
from agent.control.reporter import Reporter, utc_now
from agent.core.platform import Platform
from agent.core.proof import Proof, worth_telling
from agent.errors import EngineError, WorkerError
from agent.worker_link import Line, Ready, WorkerLine
from contracts.bundle import MANIFEST
from contracts.errors import ContractError
from contracts.manifest import MAX_MANIFEST_BYTES, decode_manifest
from contracts.small_files import read_bounded

log = logging.getLogger(__name__)


# Is told the model, the release's digest and the reason.
OnDisproof = Callable[[str, str, str], None]
# Is told the model, the release's digest and why it has no engine; says whether it is to serve without one.
OnMissingEngine = Callable[[str, str, EngineError], bool]
# A build that failed is not tried again for every worker that is started meanwhile.
BUILD_AGAIN_S = 3600.0


@dataclass(frozen=True)
class Subject:
    """Whose proof it is."""

    model: str
    folder: Path
    release: int
    platform: Platform


@dataclass(frozen=True)
class Told:
    """Who hears of proofs: the fleet of news, the update machine of failures."""

    reporter: Reporter
    on_disproof: OnDisproof
    on_missing_engine: OnMissingEngine


class ProvingLauncher:
    """A launcher whose workers never serve an engine, or a platform, that nobody has looked at.

    Every worker runs its golden set before it may serve, whoever starts it: a candidate, a restart, the first start after the system
    was updated. So a change of the system needs no extra proof, only that engines are built anew before, and that people are told.
    One that fails does not serve, and if nothing else serves the update machine falls back to the release before, which has to prove
    itself in the same way. Where that fails too the model stays away, because a wrong answer is worse than none.

    A committed release whose engine cannot be built any more is left for the one before as well. Where there is none, it serves without an
    engine, on what else the device's policy allows to run it: slow answers that were proved are better than none.
    """

    def __init__(self, launcher: Launcher, engines: Engines, facts: PlatformFacts, notes: ReleaseNotes, told: Told) -> None:
        """Start workers by `launcher`, with engines seen to."""
        self._launcher = launcher
        self._engines = engines
        self._facts = facts
        self._notes = notes
        self._told = told

    def endpoint(self, model: str) -> str:
        """Return where callers reach a model, empty before its first worker."""
        return self._launcher.endpoint(model)

    async def start(self, model: str, folder: Path, target: str) -> Process:
        """Start a worker; raise AgentError."""
        await self._see_to_engine(model, folder, target)
        # Read before the worker is: what changes between the two is then noticed as a change later on.
        try:
            release = await anyio.to_thread.run_sync(_release_of, folder)
        except (ContractError, OSError) as error:
            raise WorkerError(f"it cannot be started: {error}") from error
        subject = Subject(model, folder, release, await self._facts.read())
        return ProvedProcess(await self._launcher.start(model, folder, target), self, subject)

    async def _see_to_engine(self, model: str, folder: Path, target: str) -> None:
        def witness(share: float, text: str) -> None:
            log.info("%s: %.0f %%: %s", model, 100 * share, text)

        try:
            await self._engines.ensure(folder, target, witness, BUILD_AGAIN_S)
        except EngineError as error:
            if not self._told.on_missing_engine(model, folder.name, error):
                raise
            try:
                await anyio.to_thread.run_sync(self._notes.forget_engine, folder)
            except OSError as fault:
                raise WorkerError(f"it cannot be started without its engine: {fault}") from error
            text = f"serves without an engine, on what else may run it, because none can be built on the system as it is: {error}"
            self._told.reporter.event("worker", "error", text, model, {"manifest_sha256": folder.name})

    async def note(self, subject: Subject, ready: Ready) -> None:
        """Keep a proof, and tell what people must hear."""
        before = await anyio.to_thread.run_sync(self._notes.proof, subject.folder)
        proof = Proof(
            platform=subject.platform,
            passed=ready.golden_passed,
            runtime=f"{ready.runtime} {ready.runtime_version}",
            provider=ready.provider,
            preferred_provider=ready.preferred_provider,
            samples=ready.golden_samples,
            error=ready.golden_error,
            reason=ready.reason,
            at=utc_now(),
        )
        news = worth_telling(subject.release, before, proof)
        if news is not None:
            self._told.reporter.event("worker", *news, subject.model)
        if not proof.passed:
            self._told.on_disproof(subject.model, subject.folder.name, proof.reason)
        if before is None or before.model_copy(update={"at": proof.at}) != proof:
            try:
                await anyio.to_thread.run_sync(self._notes.keep_proof, subject.folder, proof)
            except OSError as error:
                # The worker has proved itself all the same; at the next start the proof counts as the first.
                log.warning("%s: expected room for a proof, found %s", subject.model, error)


class ProvedProcess:
    """A worker process whose golden test is noted as it is reported."""

    def __init__(self, process: Process, launcher: ProvingLauncher, subject: Subject) -> None:
        """Pass everything on to `process`."""
        self.pid = process.pid
        self._process = process
        self._launcher = launcher
        self._subject = subject

    async def send(self, line: Line) -> None:
        """Write a line; raise WorkerError."""
        await self._process.send(line)

    async def receive(self) -> WorkerLine | None:
        """Return the next line, None at the end; raise WorkerError."""
        line = await self._process.receive()
        if isinstance(line, Ready):
            await self._launcher.note(self._subject, line)
        return line

    async def wait(self) -> str:
        """Wait for its end, and say how it ended."""
        return await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def _release_of(folder: Path) -> int:
    return decode_manifest(read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES), str(folder / MANIFEST)).release
