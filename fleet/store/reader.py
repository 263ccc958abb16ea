"""Answers all questions of the API and the dashboard from the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, func, select

from contracts.downlinks import Desired
from contracts.lifecycle import Phase
from contracts.messages import Birth, Health, Reported
from fleet.core.labels import version_of
from fleet.core.status import ABSENT, Gist, shown_status
from fleet.store.charts import Charts
from fleet.store.configurations import ConfigurationStore
from fleet.store.database import Database
from fleet.store.devices import MAX_NAMES, batches, device_of, latest, row_of
from fleet.store.events import event_view, read_events
from fleet.store.quarantine import message_view, read_quarantine
from fleet.store.releases import Release, ReleaseStore
from fleet.store.rollout_views import device_view, entry_view, shadow_work, summarised
from fleet.store.rollouts import RolloutStore
from fleet.store.roster import Roster
from fleet.store.shadows import ShadowStore
from fleet.store.tables import devices, inference_windows
from fleet.store.taken_part import taken_part
from fleet.store.tallies import gaps_of
from fleet.store.wishes import WishStore
from fleet.views.charts import HealthPoint, InferencePoint
from fleet.views.device_details import DeviceDetail, QuarantinedMessage
from fleet.views.devices import DeviceSummary
from fleet.views.overview import Overview
from fleet.views.releases import ReleaseView
from fleet.views.rollouts import DeviceRolloutView, RolloutDeviceView, RolloutSummary, RolloutView
from fleet.views.settings import ConfigurationView

MAX_EVENTS = 100
# What a page for people takes at once; programs read lists page by page.
MAX_RELEASES = 1000
# Requests per second are an average over this time.
RATE_WINDOW_S = 60


class StoreReader:
    """FleetReader over the database; `now` gives aware UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime], roster: Roster | None = None) -> None:
        """Work on an open database; `roster` is the memory that others share."""
        self._database = database
        self._now = now
        self._releases = ReleaseStore(database)
        self._rollouts = RolloutStore(database)
        self._wishes = WishStore(database)
        self._configurations = ConfigurationStore(database)
        self._charts = Charts(database, now)
        self._shadows = ShadowStore(database)
        self._roster = roster or Roster(database)

    def probe(self) -> None:
        """Read something; raise StoreError while the database does not answer."""
        with self._database.reading() as connection:
            connection.execute(select(1))

    def overview(self) -> Overview:
        """Return the fleet's numbers."""
        now = self._now()
        everybody = self._roster.everybody(now)
        with self._database.reading() as connection:
            recent = inference_windows.c.at > now - timedelta(seconds=RATE_WINDOW_S)
            requests = connection.execute(select(func.sum(inference_windows.c.requests)).where(recent)).scalar_one() or 0
        statuses = Counter(device.status(now) for device in everybody)
        running = Counter((ref.model, ref.release) for device in everybody for ref in device.running.values())
        return Overview(
            devices=len(everybody),
            online=sum(count for status, count in statuses.items() if status not in ABSENT),
            statuses=dict(statuses),
            releases={f"{model} {release}": count for (model, release), count in running.items()},
            rollouts_running=len(self._rollouts.open_revisions()),
            requests_per_s=float(requests) / RATE_WINDOW_S,
            hardware=dict(Counter(device.hardware for device in everybody)),
        )

    def devices(self, *, limit: int = 200, after: str = "") -> tuple[DeviceSummary, ...]:
        """Return devices ordered by id, those after `after`."""
        with self._database.reading() as connection:
            return self._summaries(connection, limit, after)

    def named(self, ids: tuple[str, ...]) -> tuple[DeviceSummary, ...]:
        """Return devices by id, ordered by it; those that are gone are left out."""
        with self._database.reading() as connection:
            rows = [row for batch in batches(ids) for row in connection.execute(select(devices).where(devices.c.id.in_(batch)))]
            return self._summed(connection, sorted(rows, key=lambda row: row.id))

    def device(self, device: str) -> DeviceDetail:
        """Return one device; raise UnknownDeviceError."""
        with self._database.reading() as connection:
            row = row_of(connection, device)
            words = {leaf: latest(connection, leaf, (device,)) for leaf in ("birth", "reported", "health")}
            happened = tuple(map(event_view, read_events(connection, device, MAX_EVENTS)))
            gaps = gaps_of(connection, device)
        wish = self._wishes.get(device)
        birth, said = words["birth"].get(device), words["reported"].get(device)
        reported = Reported.model_validate_json(said) if said else None
        return DeviceDetail(
            **dict(self._summary(row, words)),
            labels_version=version_of(device_of(row).labels),
            birth=Birth.model_validate_json(birth) if birth else None,
            generation_desired=wish.generation if wish else 0,
            generation_reported=reported.generation if reported else 0,
            desired=wish.models if wish else {},
            configuration=self._configuration(wish, reported),
            newest_time=reported.newest_time if reported else None,
            refused=reported.refused if reported else {},
            events=happened,
            gaps=gaps,
        )

    def health(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[HealthPoint, ...]:
        """Return a device's newest health points, oldest first."""
        return self._charts.health(device, minutes, limit).items[::-1]

    def inference(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[InferencePoint, ...]:
        """Return a device's newest windows, oldest first."""
        return self._charts.inference(device, minutes, limit).items[::-1]

    def quarantine(self, *, device: str = "", limit: int = 100) -> tuple[QuarantinedMessage, ...]:
        """Return the newest messages that were not understood, of one device or of all."""
        with self._database.reading() as connection:
            return tuple(map(message_view, read_quarantine(connection, device, limit)))

    def releases(self) -> tuple[ReleaseView, ...]:
        """Return releases, newest first."""
        return self.release_views(self._releases.newest(MAX_RELEASES))

    def release(self, model: str, release: int) -> ReleaseView:
        """Return one release; raise UnknownReleaseError."""
        return self.release_views((self._releases.get(model, release),))[0]

    def release_views(self, found: Sequence[Release]) -> tuple[ReleaseView, ...]:
        """Put releases in the words of the API."""
        everybody = self._roster.everybody(self._now())
        running = Counter(ref.manifest_sha256 for device in everybody for ref in device.running.values())
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
            for release in found
        )

    def rollouts(self, *, limit: int = 50, before: int | None = None) -> tuple[RolloutView, ...]:
        """Return rollouts without their devices, newest first, those that were begun before one."""
        return tuple(RolloutView(**dict(summarised(outline))) for outline in self._rollouts.newest(limit, before))

    def taken_part(self, device: str, *, limit: int = 20) -> tuple[DeviceRolloutView, ...]:
        """Return how the newest rollouts went on a device, newest first."""
        return taken_part(self._database, device, limit)

    def rollout(self, rollout: int) -> RolloutView:
        """Return one rollout without its devices; raise UnknownRolloutError."""
        history = [entry_view(entry) for _, entry in reversed(self._rollouts.history(rollout, MAX_EVENTS))]
        return RolloutView(**dict(self.rollout_summary(rollout)), history=tuple(history))

    def rollout_devices(self, rollout: int, phase: Phase | None, *, start: int, limit: int) -> tuple[RolloutDeviceView, ...]:
        """Return devices of a rollout in one phase or in any, those that people want to see first, from the `start`-th on."""
        return tuple(map(device_view, self._rollouts.by_interest(rollout, phase, start, limit)))

    def rollout_summary(self, rollout: int) -> RolloutSummary:
        """Return one rollout without its devices and its history; raise UnknownRolloutError."""
        outline = self._rollouts.outline(rollout)
        found, kept = summarised(outline), outline.rollout
        if found.shadow is None:
            return found
        work = shadow_work(self._shadows.newest(kept.release.manifest_sha256, kept.started_at, kept.ended_at))
        return found.model_copy(update={"shadow": found.shadow.model_copy(update={"work": work})})

    def _configuration(self, wish: Desired | None, reported: Reported | None) -> ConfigurationView | None:
        wanted = None if wish is None else wish.configuration
        if wish is None or wanted is None:
            return None
        made = self._configurations.get(wish.device, wanted.revision)
        return ConfigurationView(
            revision=wanted.revision,
            sha256=wanted.sha256,
            settings=wanted.settings,
            author=None if made is None else made.author,
            at=None if made is None else made.at,
            reported=None if reported is None else reported.configuration,
        )

    def _summaries(self, connection: Connection, limit: int, after: str) -> tuple[DeviceSummary, ...]:
        rows = connection.execute(select(devices).where(devices.c.id > after).order_by(devices.c.id).limit(limit)).all()
        return self._summed(connection, rows)

    def _summed(self, connection: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> tuple[DeviceSummary, ...]:
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
        status, reason = shown_status(Gist.of(birth, models, health), row.last_seen, row.revoked_at, self._now())
        return DeviceSummary(
            id=device.id,
            hardware=device.hardware,
            labels=dict(device.labels),
            online=status not in ABSENT,
            last_seen=row.last_seen,
            models=models,
            health=health,
            status=status,
            status_reason=reason,
        )
