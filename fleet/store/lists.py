"""Answers for the lists of the API, page by page: each reads the rows of its page, and one more that tells whether another page follows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from contracts.lifecycle import Phase
from fleet.core.pages import Key, Part, part_of
from fleet.store.charts import Charts
from fleet.store.database import Database
from fleet.store.devices import row_of
from fleet.store.events import event_view, read_events
from fleet.store.quarantine import message_view, read_quarantine
from fleet.store.reader import StoreReader
from fleet.store.releases import ReleaseStore
from fleet.store.rollout_views import device_view, entry_view, summarised
from fleet.store.rollouts import RolloutStore
from fleet.store.times import micros, moment
from fleet.views.charts import HealthPoint, InferencePoint
from fleet.views.device_details import EventView, QuarantinedMessage
from fleet.views.releases import ReleaseView
from fleet.views.rollouts import RolloutDeviceView, RolloutEntryView, RolloutSummary


class StoreLists:
    """Lists over the database; keys are those that the parts themselves gave."""

    def __init__(self, database: Database, reader: StoreReader, now: Callable[[], datetime]) -> None:
        """Work on an open database; `reader` knows what runs where, and `now` gives aware UTC."""
        self._database = database
        self._reader = reader
        self._charts = Charts(database, now)
        self._releases = ReleaseStore(database)
        self._rollouts = RolloutStore(database)

    def events(self, device: str, limit: int, last: Key | None) -> Part[EventView]:
        """Return a device's events, newest first; raise UnknownDeviceError."""
        before = None if last is None else (moment(int(last[0])), str(last[1]), int(last[2]))
        with self._database.reading() as connection:
            row_of(connection, device)
            rows = read_events(connection, device, limit + 1, before)
        return part_of(rows, limit, event_view, lambda row: (micros(row.at), row.session, row.sequence))

    def health(self, device: str, minutes: int, limit: int, last: Key | None) -> Part[HealthPoint]:
        """Return a device's health points of so long, newest first; raise UnknownDeviceError."""
        return self._charts.health(device, minutes, limit, last)

    def inference(self, device: str, minutes: int, limit: int, last: Key | None) -> Part[InferencePoint]:
        """Return what models did on a device for so long, newest first; raise UnknownDeviceError."""
        return self._charts.inference(device, minutes, limit, last)

    def quarantine(self, device: str, limit: int, last: Key | None) -> Part[QuarantinedMessage]:
        """Return messages that were not understood, of one device or for an empty name of all, newest first."""
        with self._database.reading() as connection:
            rows = read_quarantine(connection, device, limit + 1, _number(last))
        return part_of(rows, limit, message_view, lambda row: (row.id,))

    def releases(self, limit: int, last: Key | None) -> Part[ReleaseView]:
        """Return releases, newest first."""
        before = None if last is None else (moment(int(last[0])), int(last[1]), str(last[2]))
        rows = self._releases.newest(limit + 1, before)
        part = part_of(rows, limit, lambda row: row, lambda row: (micros(row.added_at), row.ref.release, row.ref.model))
        return Part(self._reader.release_views(part.items), part.last)

    def rollouts(self, limit: int, last: Key | None) -> Part[RolloutSummary]:
        """Return rollouts, newest first."""
        return part_of(self._rollouts.newest(limit + 1, _number(last)), limit, summarised, lambda outline: (outline.rollout.id,))

    def rollout_devices(self, rollout: int, phases: Collection[Phase], limit: int, last: Key | None) -> Part[RolloutDeviceView]:
        """Return a rollout's devices in the order of their turns, those in some phases or all; raise UnknownRolloutError."""
        rows = self._rollouts.members(rollout, phases, limit + 1, _number(last))
        return part_of(rows, limit, lambda row: device_view(row[1]), lambda row: (row[0],))

    def rollout_history(self, rollout: int, limit: int, last: Key | None) -> Part[RolloutEntryView]:
        """Return what people and the fleet did to a rollout, newest first; raise UnknownRolloutError."""
        rows = self._rollouts.history(rollout, limit + 1, _number(last))
        return part_of(rows, limit, lambda row: entry_view(row[1]), lambda row: (row[0],))


def _number(last: Key | None) -> int | None:
    return None if last is None else int(last[0])
