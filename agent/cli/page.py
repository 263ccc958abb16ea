"""Composes and prints what people see of an agent: its status, and a doctor's findings."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from agent.adapters import systemd
from agent.adapters.environments import Environments
from agent.adapters.installation import installed_seat
from agent.adapters.saved_state import saved_models
from agent.adapters.status_file import StatusFile
from agent.config import Settings
from agent.core.finding import Finding
from agent.core.install_plan import UNIT
from agent.core.status import SERVICE_STATE_DIR, Status
from contracts.configuration import BASE_REVISION
from contracts.lifecycle import FINAL, IN_PROGRESS
from contracts.messages import ModelReport, ReleaseRef, WorkerHealth

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
DIGEST_CHARS = 12


class Page(BaseModel, frozen=True):
    """Everything `status` shows; without a service `service` is None, without a status `agent` is."""

    device: str
    is_running: bool
    service: str | None
    since: str
    restarts: int
    # Which environments the service's links name.
    current: str | None
    good: str | None
    agent: Status | None
    models: dict[str, ModelReport]


def compose(settings: Settings, now: datetime) -> Page:
    """Read the running agent's status, or what a stopped one left; raise UnreadableStateError."""
    is_service = settings.state_dir == Path(SERVICE_STATE_DIR)
    seat = installed_seat() if is_service else None
    agent = StatusFile(settings.state_dir).read()
    seen = systemd.properties(UNIT, "ActiveState", "ActiveEnterTimestamp", "NRestarts", "MainPID") if seat is not None else {}
    if seat is not None:
        is_running = seen["ActiveState"] == "active"
    else:  # started by hand: its number may be another process's by now, but then its word is old
        oldest = timedelta(seconds=3 * settings.config.telemetry.health_interval_s + 5)
        is_running = agent is not None and Path(f"/proc/{agent.pid}").exists() and abs(now - agent.written_at) < oldest
    environments = None if seat is None else Environments(Path(seat.prefix))
    if agent is not None and is_running:
        models = agent.models
    else:
        models = {
            name: ModelReport(
                phase=saved.phase,
                reason=saved.reason,
                attempt=saved.attempt,
                current=saved.current,
                previous=saved.previous,
                candidate=saved.candidate,
                last=saved.last,
            )
            for name, saved in saved_models(settings.state_dir).items()
        }
    return Page(
        device=settings.config.device.id,
        is_running=is_running,
        service=seen.get("ActiveState") or None,
        since=seen.get("ActiveEnterTimestamp", ""),
        restarts=int(seen.get("NRestarts") or 0),
        current=None if environments is None else environments.named("current"),
        good=None if environments is None else environments.named("good"),
        agent=agent,
        models=models,
    )


def print_page(page: Page) -> None:
    """Print a few lines and the table of models."""
    console = Console()
    facts = Table.grid(padding=(0, 2))
    facts.add_row("device", page.device)
    facts.add_row("service", _service(page))
    agent = page.agent
    if agent is None:
        facts.add_row("agent", "not running" if page.models else "not running, and nothing that it did is here")
    else:
        facts.add_row("agent", f"fieldfare {agent.agent_version}, process {agent.pid}" if page.is_running else "stopped")
        facts.add_row("link", _link(agent, page.is_running))
        if agent.configuration is not None:
            facts.add_row("settings", _settings(agent.configuration))
        facts.add_row("outbox", f"{agent.waiting_bytes} bytes waiting, {agent.dropped} messages dropped")
    console.print(facts)
    if page.models:
        console.print(_table(page))
    else:
        console.print("no models yet: the fleet has not asked for any")


def print_findings(found: tuple[Finding, ...]) -> None:
    """Print one line for each check, and below it what to do."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("check", "", "found", "what to do"):
        table.add_column(name, overflow="fold")
    for finding in found:
        table.add_row(finding.check, f"[{COLOURS[finding.verdict]}]{finding.verdict}[/]", finding.text, finding.advice)
    Console().print(table)


def _link(agent: Status, is_running: bool) -> str:
    if agent.is_linked and is_running:
        return f"up, {agent.broker}"
    heard = "never since it started" if agent.last_contact_at is None else f"{agent.last_contact_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"down, {agent.broker}, last contact {heard}"


def _settings(told: ModelReport) -> str:
    current = told.current
    revision = BASE_REVISION if current is None else current.release
    in_force = "as agent.toml says" if revision == BASE_REVISION else f"agent.toml and the fleet's revision {revision}"
    newest = _newest(told)
    if newest is None or newest.release == revision:
        return in_force
    return f"{in_force}; revision {newest.release} {_stage(told)}" + (f": {told.reason}" if told.reason else "")


def _newest(told: ModelReport) -> ReleaseRef | None:
    """Return the release that the phase is about: the one under way, else the one that was tried last."""
    if told.phase in FINAL and told.last is not None:
        return told.last.release
    return told.candidate or told.current


def _stage(told: ModelReport) -> str:
    words = told.phase.value.replace("_", " ")
    return f"{words} {told.progress:.0%}" if told.phase in IN_PROGRESS and told.progress else words


def _service(page: Page) -> str:
    if page.service is None:
        return "not installed"
    version = "" if page.current is None else f", version {page.current}"
    trial = "" if page.current == page.good else f" on trial; {page.good} is good"
    return f"{page.service} since {page.since or 'never'}, {page.restarts} restarts{version}{trial}"


def _worker(worker: WorkerHealth | None) -> str:
    if worker is None or worker.source is None:
        return "stopped" if worker is None else worker.state
    source = worker.source
    why = f": {source.reason}" if source.reason else ""
    taken = "" if source.reader_rss_bytes is None else f", {source.reader_rss_bytes / 1e6:.0f} MB for its reader"
    return f"{worker.state}; {source.source} {source.state}, {source.frames_per_s:g} frames a second{taken}{why}"


def _table(page: Page) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("model", "release", "digest", "worker", "endpoint", "newest", "reason"):
        table.add_column(name, overflow="fold")
    workers = {} if page.agent is None or not page.is_running else page.agent.workers
    for name, model in sorted(page.models.items()):
        current, newest = model.current, _newest(model)
        table.add_row(
            name,
            "-" if current is None else str(current.release),
            "-" if current is None else current.manifest_sha256[:DIGEST_CHARS],
            _worker(workers.get(name)),
            model.endpoint or "-",
            _stage(model) if newest is None else f"{newest.release} {_stage(model)}",
            model.reason,
        )
    return table
