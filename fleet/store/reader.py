"""Answers all questions of the API and the dashboard from the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, func, select

from contracts.messages import Birth, Health, Reported
from fleet.core.rollout import Rollout
from fleet.core.status import status_of
from fleet.store.database import Database
from fleet.store.devices import device_of, latest, row_of
from fleet.store.quarantine import read_quarantine
from fleet.store.releases import ReleaseStore
from fleet.store.rollouts import RolloutStore
from fleet.store.rows import COUNT_BY_NAME, TEXT_BY_NAME
from fleet.store.tables import devices, events, health_points, inference_windows
from fleet.store.tallies import gaps_of
from fleet.store.wishes import WishStore
from fleet.views import (
    DeviceDetail,
    DeviceSummary,
    EventView,
    HealthPoint,
    InferencePoint,
    Overview,
    QuarantinedMessage,
    ReleaseView,
    RolloutDeviceView,
    RolloutView,
)

MAX_EVENTS = 100
MAX_NAMES = 500
# Requests per second are an average over this time.
RATE_WINDOW_S = 60


class StoreReader:
    """FleetReader over the database; `now` gives aware UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        """Work on an open database."""
        self._database = database
        self._now = now
        self._releases = ReleaseStore(database)
        self._rollouts = RolloutStore(database)
        self._wishes = WishStore(database)

    def overview(self) -> Overview:
        """Return the fleet's numbers."""
        with self._database.reading() as connection:
            total = connection.execute(select(func.count()).select_from(devices)).scalar_one()
            summaries = self._summaries(connection, limit=total, after="")
            recent = inference_windows.c.at > self._now() - timedelta(seconds=RATE_WINDOW_S)
            requests = connection.execute(select(func.sum(inference_windows.c.requests)).where(recent)).scalar_one() or 0
        running = Counter(
            f"{report.current.model} {report.current.release}"
            for summary in summaries
            for report in summary.models.values()
            if report.current
        )
        return Overview(
            devices=len(summaries),
            online=sum(summary.online for summary in summaries),
            statuses=dict(Counter(summary.status for summary in summaries)),
            releases=dict(running),
            rollouts_running=len(self._rollouts.running()),
            requests_per_s=requests / RATE_WINDOW_S,
        )

    def devices(self, *, limit: int = 200, after: str = "") -> tuple[DeviceSummary, ...]:
        """Return devices ordered by id, those after `after`."""
        with self._database.reading() as connection:
            return self._summaries(connection, limit, after)

    def device(self, device: str) -> DeviceDetail:
        """Return one device; raise UnknownDeviceError."""
        with self._database.reading() as connection:
            row = row_of(connection, device)
            words = {leaf: latest(connection, leaf, (device,)) for leaf in ("birth", "reported", "health")}
            newest = select(events).where(events.c.device == device).order_by(events.c.at.desc(), events.c.sequence.desc())
            happened = tuple(map(_event_of, connection.execute(newest.limit(MAX_EVENTS))))
            gaps = gaps_of(connection, device)
        wish = self._wishes.get(device)
        birth, said = words["birth"].get(device), words["reported"].get(device)
        reported = Reported.model_validate_json(said) if said else None
        return DeviceDetail(
            **dict(self._summary(row, words)),
            birth=Birth.model_validate_json(birth) if birth else None,
            generation_desired=wish.generation if wish else 0,
            generation_reported=reported.generation if reported else 0,
            desired=wish.models if wish else {},
            newest_time=reported.newest_time if reported else None,
            refused=reported.refused if reported else {},
            events=happened,
            gaps=gaps,
        )

    def health(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[HealthPoint, ...]:
        """Return a device's newest health points, oldest first."""
        table = health_points
        since = self._now() - timedelta(minutes=minutes)
        query = select(table).where(table.c.device == device, table.c.at > since).order_by(table.c.at.desc(), table.c.sequence.desc())
        with self._database.reading() as connection:
            row_of(connection, device)
            rows = connection.execute(query.limit(limit)).all()
        return tuple(
            HealthPoint(
                at=row.at,
                cpu_percent=row.cpu_percent,
                memory_percent=row.memory_percent,
                disk_percent=row.disk_percent,
                temperature_c=row.temperature_c,
            )
            for row in reversed(rows)
        )

    def inference(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[InferencePoint, ...]:
        """Return a device's newest windows, oldest first."""
        table = inference_windows
        since = self._now() - timedelta(minutes=minutes)
        query = select(table).where(table.c.device == device, table.c.at > since).order_by(table.c.at.desc(), table.c.sequence.desc())
        with self._database.reading() as connection:
            row_of(connection, device)
            rows = connection.execute(query.limit(limit)).all()
        return tuple(map(_window_of, reversed(rows)))

    def quarantine(self, *, device: str = "", limit: int = 100) -> tuple[QuarantinedMessage, ...]:
        """Return the newest messages that were not understood, of one device or of all."""
        return read_quarantine(self._database, device, limit)

    def releases(self) -> tuple[ReleaseView, ...]:
        """Return releases, newest first."""
        with self._database.reading() as connection:
            bodies = latest(connection, "reported").values()
        reports = [report for body in bodies for report in Reported.model_validate_json(body).models.values()]
        running = Counter(report.current.manifest_sha256 for report in reports if report.current)
        return tuple(
            ReleaseView(
                ref=release.ref,
                targets=release.targets,
                bytes=release.bytes,
                added_at=release.added_at,
                verdict=release.verdict,
                drops=release.drops,
                running_on=running[release.ref.manifest_sha256],
            )
            for release in self._releases.all()
        )

    def rollouts(self, *, limit: int = 50) -> tuple[RolloutView, ...]:
        """Return rollouts, newest first, each with its devices."""
        return tuple(map(_rollout_view, self._rollouts.newest(limit)))

    def rollout(self, rollout: int) -> RolloutView:
        """Return one rollout; raise UnknownRolloutError."""
        return _rollout_view(self._rollouts.get(rollout))

    def _summaries(self, connection: Connection, limit: int, after: str) -> tuple[DeviceSummary, ...]:
        rows = connection.execute(select(devices).where(devices.c.id > after).order_by(devices.c.id).limit(limit)).all()
        if not rows:
            return ()
        # Past some hundreds of names, reading every report is cheaper than asking by name.
        ids = tuple(row.id for row in rows) if len(rows) <= MAX_NAMES else None
        words = {leaf: latest(connection, leaf, ids) for leaf in ("birth", "reported", "health")}
        return tuple(self._summary(row, words) for row in rows)

    def _summary(self, row: Row[tuple[object, ...]], words: dict[str, dict[str, str]]) -> DeviceSummary:
        device = device_of(row)
        body = {leaf: found.get(device.id) for leaf, found in words.items()}
        birth = Birth.model_validate_json(body["birth"]) if body["birth"] else None
        models = Reported.model_validate_json(body["reported"]).models if body["reported"] else {}
        health = Health.model_validate_json(body["health"]) if body["health"] else None
        status, reason = status_of(birth, models, health, row.last_seen, self._now())
        if row.revoked_at is not None:
            status, reason = "offline", "revoked"
        return DeviceSummary(
            id=device.id,
            hardware=device.hardware,
            labels=dict(device.labels),
            online=status not in ("offline", "new"),
            last_seen=row.last_seen,
            models=models,
            health=health,
            status=status,
            status_reason=reason,
        )


def _event_of(row: Row[tuple[object, ...]]) -> EventView:
    facts = TEXT_BY_NAME.validate_json(row.facts)
    return EventView(at=row.at, kind=row.kind, severity=row.severity, model=row.model, text=row.text, facts=facts)


def _window_of(row: Row[tuple[object, ...]]) -> InferencePoint:
    return InferencePoint(
        at=row.at,
        model=row.model,
        release=row.release,
        requests_per_s=row.requests / row.window_s if row.window_s else 0.0,
        errors=row.errors,
        p50_ms=row.p50_ms,
        p95_ms=row.p95_ms,
        classes=COUNT_BY_NAME.validate_json(row.classes),
        provider=row.provider,
    )


def _rollout_view(rollout: Rollout) -> RolloutView:
    return RolloutView(
        id=rollout.id,
        release=rollout.release,
        query=rollout.query,
        state=rollout.state.value,
        state_reason=rollout.state_reason,
        started_at=rollout.started_at,
        ended_at=rollout.ended_at,
        counts=dict(Counter(member.phase for member in rollout.members)),
        devices=tuple(
            RolloutDeviceView(device=member.device, phase=member.phase, progress=member.progress, reason=member.reason)
            for member in rollout.members
        ),
    )
