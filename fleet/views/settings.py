"""What a device's agent is set to."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from contracts.messages import ModelReport
from contracts.settings import Settings
from fleet.views.base import View

SettingsState = Literal["waiting", "trying", "in_force", "refused"]


class ConfiguredDevice(View):
    """What a change of settings makes of one device."""

    device: str
    revision: int
    before: Settings
    after: Settings
    is_change: bool


class ConfiguringView(View):
    """What a change of settings makes of all whom its query means: their number, those that change, and the first of them."""

    devices: int
    changed: int
    such_as: tuple[ConfiguredDevice, ...]


class DeviceSettings(View):
    """What one device is set to, and whether it follows."""

    device: str
    revision: int
    settings: Settings
    # None for a revision of which nobody knows any more who made it.
    author: str | None
    at: AwareDatetime | None
    # `refused` after it tried and went back, or did not try; `waiting` until it tells of this revision.
    state: SettingsState
    reason: str


class ConfigurationView(View):
    """What a device's agent is set to by its fleet, and how that went there."""

    revision: int
    sha256: str
    settings: Settings
    # None for a revision of which nobody knows any more who made it.
    author: str | None
    at: AwareDatetime | None
    # The device's own word; None from one that takes no settings, or was not heard since.
    reported: ModelReport | None
