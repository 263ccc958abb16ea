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

    def figure(self, leaf: str, since: datetime | None) -> tuple[int, int]:
        """Return two numbers that change with what came since then."""

    def marks(self, leaf: str, since: datetime | None) -> Sequence[WordMark]:
        """Return which devices' newest message of a kind came since then; of all, without a moment."""

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
        self._looks: dict[str, tuple[datetime | None, tuple[int, int]]] = {}
        self._newest: datetime | None = None
        self._looked_at_all: datetime | None = None

    def listen(self, now: datetime) -> set[str]:
        """Return the devices that said something new."""
        is_for_all = self._looked_at_all is None or now - self._looked_at_all >= LOOK_AT_ALL
        since = None if is_for_all or self._newest is None else self._newest - LOOK_BACK
        births = self._fresh("birth", since)
        self._is_online.update({device: Birth.model_validate_json(body).online for device, body in births.items()})
        reports = self._fresh("reported", since)
        self._reported.update({device: Reported.model_validate_json(body) for device, body in reports.items()})
        self._looked_at_all = now if is_for_all else self._looked_at_all
        return births.keys() | reports.keys()

    def standing(self, device: str, model: str) -> Standing | None:
        """Return how a model stands on a device; None for one that never spoke."""
        reported = self._reported.get(device)
        is_online = self._is_online.get(device, False)
        if reported is None:
            return Standing(0, None, is_online) if device in self._is_online else None
        return Standing(reported.generation, reported.models.get(model), is_online)

    def _fresh(self, leaf: str, since: datetime | None) -> Mapping[str, str]:
        look = (since, self._words.figure(leaf, since))
        if self._looks.get(leaf) == look:
            return {}
        marks = self._words.marks(leaf, since)
        fresh = [mark for mark in marks if self._heard.get((mark.device, leaf)) != (mark.session, mark.sequence)]
        bodies = self._words.bodies(leaf, [mark.device for mark in fresh]) if fresh else {}
        # Only now, so that a failure in between loses nothing.
        self._heard.update({(mark.device, leaf): (mark.session, mark.sequence) for mark in fresh})
        self._newest = max([*(mark.received_at for mark in fresh), *([self._newest] if self._newest else [])], default=None)
        self._looks[leaf] = look
        return bodies
