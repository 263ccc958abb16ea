"""Does what commands ask for: tells the log, takes a picture, proves or times a release beside its worker, replaces a worker."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import anyio

from agent.control.commands import Deed
from agent.control.delivery import Installed
from agent.control.ports.commands import Album, Logbook, Trials
from agent.control.ports.machine import Thermometer
from agent.control.supervisor import Supervisor
from agent.core.probation import Heat
from agent.core.trial import Proved, Timed, TrialAnswer, TrialOrder
from agent.errors import CommandError, PauseError, RefusedCommandError
from contracts.agent_config import RuntimeSection
from contracts.commands import (
    MAX_JPEG_BYTES,
    Benchmark,
    BenchmarkOrder,
    Findings,
    Golden,
    GoldenOrder,
    Kind,
    LogsOrder,
    Order,
    Picture,
    Restarted,
    RestartOrder,
    SnapshotOrder,
)

LOGS_S, SNAPSHOT_S = 30.0, 30.0
# Loading a model on a card that is slow takes a minute; beside workers that serve, everything takes longer.
TRIAL_S, RESTART_S = 900.0, 900.0


@dataclass(frozen=True)
class Bench:
    """What releases are put to the trial with."""

    trials: Trials
    thermometer: Thermometer
    runtime: RuntimeSection
    data_bytes: int


class Deeds:
    """Every kind of command."""

    def __init__(self, supervisor_of: Callable[[str | None], Supervisor], logbook: Logbook, album: Album | None, bench: Bench) -> None:
        """Find a model's workers by `supervisor_of`, which raises CommandError; without an album no picture may be taken."""
        self._supervisor_of = supervisor_of
        self._logbook = logbook
        self._album = album
        self._bench = bench
        # Two releases on trial at once would time each other.
        self._trial = anyio.Lock()

    @property
    def by_kind(self) -> dict[Kind, Deed]:
        """Return all of them."""
        return {
            "logs": Deed(self._tell_log, LOGS_S),
            "snapshot": Deed(self._take_picture, SNAPSHOT_S),
            "golden": Deed(self._prove, TRIAL_S),
            "restart": Deed(self._restart, RESTART_S),
            "benchmark": Deed(self._time, TRIAL_S),
        }

    async def _tell_log(self, order: Order) -> Findings:
        assert isinstance(order, LogsOrder)
        return await self._logbook.tail(order.lines)

    async def _take_picture(self, order: Order) -> Findings:
        assert isinstance(order, SnapshotOrder)
        album = self._album
        if album is None:
            raise RefusedCommandError("snapshot: expected [commands] snapshot = true in this device's agent.toml, found it off")
        supervisor = self._supervisor_of(order.model)
        worker, name = supervisor.serving, secrets.token_hex(8)
        if worker is None:
            raise CommandError(f"{supervisor.model}: expected a worker that serves, found none")
        try:
            await worker.take_picture(name, str(album.page(name)), MAX_JPEG_BYTES)
            raw = await anyio.to_thread.run_sync(album.take, name)
        finally:
            album.drop(name)
        return Picture(model=supervisor.model, jpeg=base64.b64encode(raw).decode())

    async def _prove(self, order: Order) -> Findings:
        assert isinstance(order, GoldenOrder)

        async def work(installed: Installed) -> TrialAnswer:
            return await self._bench.trials.run(self._trial_order(installed, "golden"))

        installed, found = await self._on_trial(order.model, work)
        assert isinstance(found, Proved)
        return Golden(release=installed.release, target=installed.target, **found.model_dump(exclude={"kind"}))

    async def _time(self, order: Order) -> Findings:
        assert isinstance(order, BenchmarkOrder)
        heats: list[Heat] = []

        async def work(installed: Installed) -> TrialAnswer:
            heats.append(await self._bench.thermometer.heat())
            answer = await self._bench.trials.run(self._trial_order(installed, "benchmark", order.threads, order.runs))
            heats.append(await self._bench.thermometer.heat())
            return answer

        installed, found = await self._on_trial(order.model, work)
        assert isinstance(found, Timed)
        before, after = heats
        known = [heat.is_throttled for heat in heats if heat.is_throttled is not None]
        return Benchmark(
            release=installed.release,
            target=installed.target,
            threads=order.threads,
            temperature_before_c=before.temperature_c,
            temperature_after_c=after.temperature_c,
            was_throttled=any(known) if known else None,
            **found.model_dump(exclude={"kind"}),
        )

    async def _restart(self, order: Order) -> Findings:
        assert isinstance(order, RestartOrder)
        supervisor = self._supervisor_of(order.model)
        was_serving = supervisor.serving is not None
        worker = await supervisor.replace()
        ready, installed = await worker.until_ready(), worker.installed
        return Restarted(
            release=installed.release,
            target=installed.target,
            runtime=f"{ready.runtime} {ready.runtime_version}",
            provider=ready.provider,
            was_without_gap=was_serving,
        )

    async def _on_trial(self, model: str | None, work: Callable[[Installed], Awaitable[TrialAnswer]]) -> tuple[Installed, TrialAnswer]:
        """Do something with the release that serves, on what it runs on, while no other one is on trial."""
        async with self._trial:
            supervisor = self._supervisor_of(model)
            if supervisor.serving is None:
                raise CommandError(f"{supervisor.model}: expected a release that serves, found none")
            installed = supervisor.serving.installed
            try:
                return installed, await supervisor.lend(installed, partial(work, installed))
            except PauseError as error:
                raise RefusedCommandError(str(error)) from error

    def _trial_order(self, installed: Installed, kind: str, threads: int = 1, runs: int = 1) -> TrialOrder:
        return TrialOrder(
            kind="golden" if kind == "golden" else "benchmark",
            model=installed.release.model,
            release_dir=str(installed.folder),
            target=installed.target,
            threads=threads,
            runs=runs,
            runtime=self._bench.runtime,
            data_bytes=self._bench.data_bytes,
        )
