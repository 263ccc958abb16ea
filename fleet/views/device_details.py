"""What is told of one device."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from contracts.messages import Birth, ReleaseRef
from fleet.views.base import View
from fleet.views.devices import DeviceSummary
from fleet.views.settings import ConfigurationView


class EventView(View):
    """One event of a device."""

    at: AwareDatetime
    kind: str
    severity: Literal["info", "warning", "error"]
    model: str | None
    text: str
    facts: dict[str, str]


class Gap(View):
    """What never came of one session of a device; windows that were merged are no gap."""

    session: str
    # Whose windows are missing; None for messages of every kind.
    model: str | None
    # The highest number that came.
    newest: int
    # How many numbers nobody can account for, and those that are still known one by one, such as `3,7-9`.
    lost: int
    missing: str
    at: AwareDatetime


class QuarantinedMessage(View):
    """A message that was not understood."""

    # Grows with each message that was set aside.
    id: int
    device: str
    leaf: str
    at: AwareDatetime
    reason: str
    bytes: int
    # Its first bytes, as text.
    head: str


class DeviceDetail(DeviceSummary):
    """One device's page."""

    # What a change of labels names, so that it changes what its author saw.
    labels_version: str = ""
    birth: Birth | None
    generation_desired: int
    generation_reported: int
    desired: dict[str, ReleaseRef]
    # None while nobody has set anything.
    configuration: ConfigurationView | None = None
    # Newest time that a signature vouched for on the device; None before its first verified wish.
    newest_time: AwareDatetime | None
    # Wishes it refused, by class of attack.
    refused: dict[str, int]
    events: tuple[EventView, ...]
    # Its newest sessions in which messages are missing.
    gaps: tuple[Gap, ...] = ()
