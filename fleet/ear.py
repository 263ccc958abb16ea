"""Listens for what devices said since the last time, and remembers how each model stands on each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from contracts.messages import Birth, Reported
from fleet.core.rollout.model import Standing

# A batch of messages is stamped before it is kept: who looks in between would miss it without looking back.
LOOK_BACK = timedelta(seconds=5)
# What was kept even later is found by then.
LOOK_AT_ALL = timedelta(minutes=5)


class WordMark(Protocol):
    """That a device said something."""

    @property
    def device(self) -> str:
        """Who."""

    @property
    def session(self) -> str:
        """In which of its sessions."""

    @property
    def sequence(self) -> int:
        """As which message of it."""

    @property
    def received_at(self) -> datetime:
        """When it came."""


class Words(Protocol):
    """The newest message of each kind of each device."""

    def marks(self, leaf: str, since: datetime | None) -> Sequence[WordMark]:
        """Return which devices' newest message of a kind came since then, of all without a moment; nothing where that was returned last."""

    def bodies(self, leaf: str, devices: Sequence[str]) -> Mapping[str, str]:
        """Return the newest message of a kind of some devices."""


class Ear:
    """One listener's memory; reading costs as much as was said, not as many devices as there are."""

    def __init__(self, words: Words) -> None:
        """Nothing was heard yet."""
        self._words = words
        self._reported: dict[str, Reported] = {}
        self._is_online: dict[str, bool] = {}
        self._heard: dict[tuple[str, str], tuple[str, int]] = {}
        self._newest: datetime | None = None
        self._looked_at_all: datetime | None = None

    def listen(self, now: datetime) -> set[str]:
        """Return the devices that said something new."""
        if self._looked_at_all is None or now - self._looked_at_all >= LOOK_AT_ALL:
            since, self._looked_at_all = None, now
        else:
            since = None if self._newest is None else self._newest - LOOK_BACK
        births = self._fresh("birth", since)
        reports = self._fresh("reported", since)
        self._is_online.update({device: Birth.model_validate_json(body).online for device, body in births.items()})
        self._reported.update({device: Reported.model_validate_json(body) for device, body in reports.items()})
        return births.keys() | reports.keys()

    def standing(self, device: str, model: str) -> Standing | None:
        """Return how a model stands on a device; None for one that never spoke."""
        reported = self._reported.get(device)
        is_online = self._is_online.get(device, False)
        if reported is None:
            return Standing(0, None, is_online) if device in self._is_online else None
        return Standing(reported.generation, reported.models.get(model), is_online)

    def _fresh(self, leaf: str, since: datetime | None) -> Mapping[str, str]:
        fresh: list[str] = []
        for mark in self._words.marks(leaf, since):
            if self._newest is None or mark.received_at > self._newest:
                self._newest = mark.received_at
            key, message = (mark.device, leaf), (mark.session, mark.sequence)
            if self._heard.get(key) != message:
                self._heard[key] = message
                fresh.append(mark.device)
        return self._words.bodies(leaf, fresh) if fresh else {}
