"""Takes what people ask of devices' settings: finds the devices, checks every value, and lets the director wish what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contracts.configuration import BASE_REVISION, PATHS, Configuration, SettingValue, check_settings
from contracts.errors import InvalidDocumentError
from fleet.core.configurations import Revision, Setting, has_left, next_configuration
from fleet.core.devices import HeardDevice
from fleet.errors import NoDevicesError
from fleet.requests import ConfigurationChange
from fleet.views import ConfiguredDevice

# Of one change; a fleet is not larger.
MAX_DEVICES = 1_000_000
Decide = Callable[[Configuration | None], Configuration | None]


@dataclass(frozen=True)
class Author:
    """Who changes something, and when."""

    name: str
    at: datetime


class Devices(Protocol):
    """The fleet, and what it said last."""

    def heard(self) -> Sequence[HeardDevice]:
        """Return every device with its newest words."""


class Targets(Protocol):
    """Whom a query means."""

    def page(self, text: str, after: str, limit: int, now: datetime) -> tuple[str, ...]:
        """Return the ids of some of the devices that a query means; raise QueryError or UnknownGroupError."""


class History(Protocol):
    """Every revision, and whose it is."""

    def add(self, device: str, revision: Revision) -> None:
        """Keep a revision."""

    def get(self, device: str, revision: int) -> Revision | None:
        """Return one revision; None when it is not known here."""


class Director(Protocol):
    """Who tells devices."""

    def configure(self, device: str, decide: Decide, note: Callable[[Configuration], None], now: datetime) -> None:
        """Wish the settings that follow from those wished last, None leaving them."""


class SettingsDesk:
    """Where settings are changed."""

    def __init__(self, targets: Targets, devices: Devices, history: History, director: Director) -> None:
        """Change nothing yet."""
        self._targets = targets
        self._devices = devices
        self._history = history
        self._director = director

    def change(self, change: ConfigurationChange, author: str, now: datetime) -> tuple[ConfiguredDevice, ...]:
        """Change the settings of all devices that a query means; raise NoDevicesError, QueryError or InvalidDocumentError."""
        setting = Setting(check_settings(change.set), _known(change.unset))
        meant = frozenset(self._targets.page(change.query, "", MAX_DEVICES, now))
        found = [heard for heard in self._devices.heard() if heard.device.id in meant]
        if not found:
            raise NoDevicesError(change.query, "the query matches no device")
        return tuple(self._change(heard, setting, Author(author, now), is_rehearsal=change.dry_run) for heard in found)

    def _change(self, heard: HeardDevice, setting: Setting, author: Author, *, is_rehearsal: bool) -> ConfiguredDevice:
        device, report = heard.device.id, None if heard.reported is None else heard.reported.configuration
        done: list[ConfiguredDevice] = []

        def decide(wished: Configuration | None) -> Configuration | None:
            is_left = has_left(wished, report)
            before = self._committed(heard) if is_left else {} if wished is None else wished.settings
            after = check_settings(setting.on(before))
            following = next_configuration(wished, report, after)
            # What a device left is wished anew when it is asked for again; else the same settings are no change.
            is_change = after != before or (is_left and bool(setting.values))
            revision = following.revision if is_change else BASE_REVISION if wished is None else wished.revision
            done.append(ConfiguredDevice(device=device, revision=revision, before=dict(before), after=after, is_change=is_change))
            return following if is_change and not is_rehearsal else None

        self._director.configure(device, decide, lambda made: self._history.add(device, Revision(made, author.name, author.at)), author.at)
        return done[0]

    def _committed(self, heard: HeardDevice) -> dict[str, SettingValue]:
        """Return the settings that are in force on a device which left the newest ones."""
        report = None if heard.reported is None else heard.reported.configuration
        current = None if report is None else report.current
        revision = None if current is None else self._history.get(heard.device.id, current.release)
        return {} if revision is None else dict(revision.configuration.settings)


def _known(paths: Sequence[str]) -> frozenset[str]:
    for path in paths:
        if path not in PATHS:
            raise InvalidDocumentError("configuration", path, f"one of {', '.join(sorted(PATHS))}", "another")
    return frozenset(paths)
