"""What a device's agent is set to."""

from __future__ import annotations

from pydantic import AwareDatetime

from contracts.configuration import Settings
from contracts.messages import ModelReport
from fleet.views.base import View


class ConfiguredDevice(View):
    """What a change of settings makes of one device."""

    device: str
    revision: int
    before: Settings
    after: Settings
    is_change: bool


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
