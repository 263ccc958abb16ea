"""Takes what people ask of devices' settings: finds the devices, checks every value, and lets the director wish what follows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from contracts.configuration import BASE, PATHS, Configuration, check_settings
from contracts.errors import InvalidDocumentError
from contracts.settings import SettingValue
from fleet.core.configurations import Revision, Setting, has_left, next_configuration
from fleet.core.devices import HeardDevice
from fleet.core.pages import Part
from fleet.errors.devices import NoDevicesError
from fleet.errors.targeting import StaleVersionError
from fleet.requests.settings import ConfigurationChange
from fleet.views.settings import ConfiguredDevice

# Of one change; a fleet is not larger.
MAX_DEVICES = 1_000_000
Decide = Callable[[str, Configuration | None], Configuration | None]
Note = Callable[[Mapping[str, Configuration]], None]


class Devices(Protocol):
    """The fleet, and what it said last."""

    def heard_of(self, ids: Sequence[str]) -> Sequence[HeardDevice]:
        """Return those of some devices that are in good standing, with their newest words, ordered by id."""


class Targets(Protocol):
    """Whom a query means."""

    def page(self, text: str, after: str, limit: int, now: datetime) -> tuple[str, ...]:
        """Return the ids of some of the devices that a query means; raise QueryError or UnknownGroupError."""


class History(Protocol):
    """Every revision, and whose it is."""

    def add_all(self, revisions: Mapping[str, Revision]) -> None:
        """Keep a revision of each device."""

    def get(self, device: str, revision: int) -> Revision | None:
        """Return one revision; None when it is not known here."""


class Director(Protocol):
    """Who tells devices."""

    def configure_all(self, devices: Sequence[str], decide: Decide, note: Note, now: datetime) -> None:
        """Wish the settings that follow from those wished last, None leaving them."""


class SettingsDesk:
    """Where settings are changed."""

    def __init__(self, targets: Targets, devices: Devices, history: History, director: Director) -> None:
        """Change nothing yet."""
        self._targets = targets
        self._devices = devices
        self._history = history
        self._director = director

    def change(self, change: ConfigurationChange, author: str, now: datetime, seen: str | None = None) -> tuple[ConfiguredDevice, ...]:
        """Change the settings of all devices that a query means; raise NoDevicesError, QueryError or InvalidDocumentError.

        Also StaleVersionError, where a trial was `seen` and other devices are meant by now, or other settings are in force on them.
        """
        setting = _setting(change)
        by_id = self._found(self._targets.page(change.query, "", MAX_DEVICES, now))
        if not by_id:
            raise NoDevicesError(change.query, "the query matches no device")
        done: dict[str, ConfiguredDevice] = {}

        def decide(device: str, wished: Configuration | None) -> Configuration | None:
            done[device], following = self._decide(by_id[device], wished, setting)
            return None if change.dry_run else following

        def note(made: Mapping[str, Configuration]) -> None:
            found = version_of(tuple(done[device] for device in by_id))
            if seen not in (None, found):
                raise StaleVersionError("configurations", str(seen), found)
            self._history.add_all({device: Revision(configuration, author, now) for device, configuration in made.items()})

        self._director.configure_all(tuple(by_id), decide, note, now)
        return tuple(done[device] for device in by_id)

    def trial(self, change: ConfigurationChange, limit: int, after: str, now: datetime) -> Part[ConfiguredDevice]:
        """Say what a change would make of those devices of its query that follow `after`, ordered by id; raise as `change` does."""
        setting = _setting(change)
        ids = self._targets.page(change.query, after, limit + 1, now)
        by_id = self._found(ids[:limit])
        if not by_id and not after:
            raise NoDevicesError(change.query, "the query matches no device")
        done: dict[str, ConfiguredDevice] = {}

        def decide(device: str, wished: Configuration | None) -> None:
            done[device] = self._decide(by_id[device], wished, setting)[0]

        self._director.configure_all(tuple(by_id), decide, lambda _: None, now)
        return Part(tuple(done[device] for device in by_id), (ids[limit - 1],) if len(ids) > limit else None)

    def _found(self, ids: Sequence[str]) -> dict[str, HeardDevice]:
        return {heard.device.id: heard for heard in self._devices.heard_of(ids)}

    def _decide(self, heard: HeardDevice, wished: Configuration | None, setting: Setting) -> tuple[ConfiguredDevice, Configuration | None]:
        """Return what a change makes of one device, and its next revision, None where nothing changes."""
        report = None if heard.reported is None else heard.reported.configuration
        is_left = has_left(wished, report)
        before = self._committed(heard) if is_left else {} if wished is None else wished.settings
        after = check_settings(setting.on(before))
        # Where a device left what it was wished, whatever is asked for now takes the place of that; else the same settings are no change.
        is_change = is_left or after != before
        following = next_configuration(wished, report, after) if is_change else None
        revision = (following or wished or BASE).revision
        return ConfiguredDevice(device=heard.device.id, revision=revision, before=dict(before), after=after, is_change=is_change), following

    def _committed(self, heard: HeardDevice) -> dict[str, SettingValue]:
        """Return the settings that are in force on a device which left the newest ones."""
        report = None if heard.reported is None else heard.reported.configuration
        current = None if report is None else report.current
        revision = None if current is None else self._history.get(heard.device.id, current.release)
        return {} if revision is None else dict(revision.configuration.settings)


def version_of(devices: Sequence[ConfiguredDevice]) -> str:
    """Return by what a change is told from one of other devices or other settings: the same for a trial and for the change itself."""
    said = [(each.device, each.before, each.after) for each in devices]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _setting(change: ConfigurationChange) -> Setting:
    return Setting(check_settings(change.set), _known(change.unset))


def _known(paths: Sequence[str]) -> frozenset[str]:
    for path in paths:
        if path not in PATHS:
            raise InvalidDocumentError("configuration", path, f"one of {', '.join(sorted(PATHS))}", "another")
    return frozenset(paths)
