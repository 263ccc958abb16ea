"""Decides the one word that describes a device to people, and why it is not `healthy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from contracts.lifecycle import IN_PROGRESS
from contracts.messages import Birth, Health, ModelReport
from fleet.core.rollout.model import LOST

Status = Literal["healthy", "updating", "degraded", "offline", "new"]
# Longer than any sensible interval between two health messages.
SILENT_AFTER = timedelta(minutes=15)
HOT_C = 85.0
LOW_DISK_SHARE = 0.05
# Devices that nobody can reach now.
ABSENT = frozenset({"offline", "new"})


@dataclass(frozen=True, slots=True)
class Gist:
    """What of a device's newest words decides its status; texts are empty where there is nothing to say."""

    # None until it was heard of.
    is_online: bool | None = None
    updating: str = ""
    lost: str = ""
    unwell: str = ""

    @classmethod
    def of(cls, birth: Birth | None, models: Mapping[str, ModelReport], health: Health | None) -> Gist:
        """Return the gist of all that a device said last."""
        unwell = "" if health is None else next(_ailments(health), "")
        return cls(None if birth is None else birth.online, next(_updates(models), ""), next(_losses(models), ""), unwell)

    def with_birth(self, birth: Birth) -> Gist:
        """Return it with another birth."""
        return replace(self, is_online=birth.online)

    def with_models(self, models: Mapping[str, ModelReport]) -> Gist:
        """Return it with another report."""
        return replace(self, updating=next(_updates(models), ""), lost=next(_losses(models), ""))

    def with_health(self, health: Health) -> Gist:
        """Return it with other health."""
        return replace(self, unwell=next(_ailments(health), ""))


def shown_status(gist: Gist, last_seen: datetime | None, revoked_at: datetime | None, now: datetime) -> tuple[Status, str]:
    """Return what people are shown, also of a device that was turned out."""
    return ("offline", "revoked") if revoked_at is not None else status_of(gist, last_seen, now)


def status_of(gist: Gist, last_seen: datetime | None, now: datetime) -> tuple[Status, str]:
    """Return the status, and the reason for it; the reason is empty for a healthy device."""
    if gist.is_online is None or last_seen is None:
        return "new", "not heard of yet"
    if not gist.is_online:
        return "offline", "the broker lost its connection"
    if now - last_seen > SILENT_AFTER:
        return "offline", f"no word for {int((now - last_seen).total_seconds() // 60)} minutes"
    if gist.updating:
        return "updating", gist.updating
    complaint = gist.lost or gist.unwell
    return ("degraded", complaint) if complaint else ("healthy", "")


def _updates(models: Mapping[str, ModelReport]) -> Iterator[str]:
    for model, report in sorted(models.items()):
        if report.phase in IN_PROGRESS:
            yield f"{model}: {report.phase.value.replace('_', ' ')}"


def _losses(models: Mapping[str, ModelReport]) -> Iterator[str]:
    for model, report in sorted(models.items()):
        if report.phase in LOST:
            why = report.reason or (report.last.reason if report.last else "")
            yield f"{model}: {report.phase.value.replace('_', ' ')}{': ' + why if why else ''}"


def _ailments(health: Health) -> Iterator[str]:
    for model, worker in sorted(health.workers.items()):
        if worker.state in ("restarting", "stopped"):
            yield f"{model}: worker {worker.state}"
    if health.is_undervolted:
        yield "under-voltage"
    if health.is_throttled:
        yield "throttled"
    if health.temperature_c is not None and health.temperature_c >= HOT_C:
        yield f"{health.temperature_c:.0f} °C"
    if health.disk_free_bytes < LOW_DISK_SHARE * health.disk_total_bytes:
        yield f"{health.disk_free_bytes / max(health.disk_total_bytes, 1):.0%} of the disk is free"
