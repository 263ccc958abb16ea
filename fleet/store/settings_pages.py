"""Answers page by page what devices are set to, and which of them follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from sqlalchemy import Connection, select, tuple_

from contracts.configuration import Configuration
from contracts.messages import Reported
from fleet.core.configurations import how_it_goes
from fleet.core.pages import Part, part_of
from fleet.store.database import Database
from fleet.store.devices import BATCH, latest
from fleet.store.tables import configurations, devices, wishes
from fleet.views.settings import DeviceSettings, SettingsState

_SET = (
    select(wishes.c.device, wishes.c.configuration)
    .join(devices, devices.c.id == wishes.c.device)
    .where(wishes.c.configuration.is_not(None), devices.c.revoked_at.is_(None))
    .order_by(wishes.c.device)
)
# Returns some of the devices that are meant, ordered by id: those that follow one, at most so many.
Meant = Callable[[str, int], Sequence[str]]


class SettingsPages:
    """Every device in good standing that anything was ever set of; it reads in batches until a page is full."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def page(self, state: SettingsState | None, limit: int, after: str, meant: Meant | None = None) -> Part[DeviceSettings]:
        """Return devices by id, those after `after`: of all or of those that are meant, in one state or in any."""
        found = (one for one in self._following(after, meant) if state in (None, one.state))
        return part_of(list(islice(found, limit + 1)), limit, lambda one: one, lambda one: (one.device,))

    def _following(self, after: str, meant: Meant | None) -> Iterator[DeviceSettings]:
        last: str | None = after
        while last is not None:
            names = None if meant is None else meant(last, BATCH)
            with self._database.reading() as connection:
                is_next = wishes.c.device > last if names is None else wishes.c.device.in_(names)
                rows = connection.execute(_SET.where(is_next).limit(BATCH)).all()
                found = list(_settings(connection, {row.device: row.configuration for row in rows}))
            looked_at = [row.device for row in rows] if names is None else names
            last = looked_at[-1] if len(looked_at) == BATCH else None
            yield from found


def _settings(connection: Connection, texts: dict[str, str]) -> Iterator[DeviceSettings]:
    wished = {device: Configuration.model_validate_json(text) for device, text in texts.items()}
    said = latest(connection, "reported", tuple(wished))
    key = tuple_(configurations.c.device, configurations.c.revision)
    made = select(configurations.c.device, configurations.c.author, configurations.c.at)
    made = made.where(key.in_([(device, configuration.revision) for device, configuration in wished.items()]))
    authors = {row.device: row for row in connection.execute(made)}
    for device, configuration in wished.items():
        report = Reported.model_validate_json(said[device]).configuration if device in said else None
        state, reason = how_it_goes(configuration, report)
        author = authors.get(device)
        yield DeviceSettings(
            device=device,
            revision=configuration.revision,
            settings=configuration.settings,
            author=None if author is None else author.author,
            at=None if author is None else author.at,
            state=state,
            reason=reason,
        )
