"""Reads of stored messages only what a row of the fleet table needs; the rest goes on as the bytes that it is.

What is stored was checked when it came, so that nothing is checked again here: that alone would cost as much as all the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

import msgspec

from contracts.lifecycle import Phase
from contracts.messages import Birth, Health, ModelReport
from fleet.core.status import Gist


class _Ending(msgspec.Struct, gc=False):
    reason: str = ""


class _Report(msgspec.Struct, gc=False):
    phase: Phase
    reason: str = ""
    last: _Ending | None = None


class _Reported(msgspec.Struct, gc=False):
    models: msgspec.Raw


class _Worker(msgspec.Struct, gc=False):
    state: str


class _Health(msgspec.Struct, gc=False):
    disk_free_bytes: int
    disk_total_bytes: int
    temperature_c: float | None = None
    is_throttled: bool | None = None
    is_undervolted: bool | None = None
    workers: dict[str, _Worker] = {}


class _Birth(msgspec.Struct, gc=False):
    online: bool


_REPORTED = msgspec.json.Decoder(_Reported)
_REPORTS = msgspec.json.Decoder(dict[str, _Report])
_HEALTH = msgspec.json.Decoder(_Health)
_BIRTH = msgspec.json.Decoder(_Birth)
_encode = msgspec.json.Encoder().encode

NO_MODELS = msgspec.Raw(b"{}")
NO_HEALTH = msgspec.Raw(b"null")


def read_words(words: Mapping[str, str]) -> tuple[Gist, msgspec.Raw, msgspec.Raw]:
    """Return what decides a device's status, its models' reports and its health, of its newest words by kind."""
    birth, reported, health = words.get("birth"), words.get("reported"), words.get("health")
    models = _REPORTED.decode(reported).models if reported else NO_MODELS
    gist = Gist.of(
        cast("Birth", _BIRTH.decode(birth)) if birth else None,
        cast("Mapping[str, ModelReport]", _REPORTS.decode(models)),
        cast("Health", _HEALTH.decode(health)) if health else None,
    )
    return gist, models, raw(health) if health else NO_HEALTH


class DeviceRow(msgspec.Struct, gc=False):
    """A `DeviceSummary` on its way out."""

    id: str
    hardware: str
    labels: msgspec.Raw
    online: bool
    last_seen: datetime | None
    models: msgspec.Raw
    health: msgspec.Raw
    status: str
    status_reason: str


def raw(text: str) -> msgspec.Raw:
    """Take stored JSON as it is."""
    return msgspec.Raw(text.encode())


def write_rows(rows: list[DeviceRow]) -> bytes:
    """Return rows as a JSON list."""
    return _encode(rows)
