"""Keeps in memory what follows from every device's newest words, for all who ask, and reads anew only what was said since."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, select, type_coerce

from contracts.messages import Birth, Health, Reported
from fleet.core.inventory import Admission, Inventory, new_inventory
from fleet.store.alike import Alike
from fleet.store.database import Database
from fleet.store.tables import devices
from fleet.store.times import moment
from fleet.store.words import WordStore

# What rollouts follow; health changes too often to be read for them.
SPOKEN = ("birth", "reported")
LEAVES = (*SPOKEN, "health")
# A batch of messages is stamped before it is kept: who looks in between would miss it without looking back.
LOOK_BACK_US = 5_000_000
# What was kept even later is found by then.
LOOK_AT_ALL = timedelta(minutes=5)

# Hardware, labels as text; when it was let in, seen last and turned out, in microseconds.
_Row = tuple[str, str, "int | None", "int | None", "int | None"]


class Roster:
    """One memory: reading costs as much as was said meanwhile, and about 3.2 kB are kept of a device that has one model."""

    def __init__(self, database: Database) -> None:
        """Nothing is read yet."""
        self._database = database
        self._words = WordStore(database)
        self._lock = threading.Lock()
        # Ordered by id.
        self._known: dict[str, Inventory] = {}
        self._rows: dict[str, _Row] = {}
        self._listening = {leaf: _Listening(self._words, leaf) for leaf in LEAVES}
        # In which round each device spoke last.
        self._spoke: dict[str, int] = {}
        self._round = 0
        self._alike = Alike()
        self._looked_at: datetime | None = None

    def everybody(self, now: datetime, max_age: timedelta = timedelta(0)) -> tuple[Inventory, ...]:
        """Return every device, even those that were turned out, ordered by id, as it was told at most `max_age` ago."""
        with self._lock:
            if self._looked_at is None or not timedelta(0) <= now - self._looked_at < max_age:
                self._admit()
                self._listen(LEAVES, now, is_brief=False)
                self._looked_at = now
            return tuple(self._known.values())

    def inventories(self, now: datetime, max_age: timedelta = timedelta(0)) -> tuple[Inventory, ...]:
        """Return every device in good standing, ordered by id, as it was told at most `max_age` ago."""
        return tuple(device for device in self.everybody(now, max_age) if not device.is_revoked)

    def outdate(self) -> None:
        """Look anew before the next answer, whatever age it may have."""
        with self._lock:
            self._looked_at = None

    def heard_since(self, earlier: int, now: datetime) -> tuple[int, set[str]]:
        """Return the number of this round, and the devices that were born, died or reported since an earlier one; 0 is the first."""
        with self._lock:
            self._listen(SPOKEN, now, is_brief=True)
            fresh = {device for device, turn in self._spoke.items() if turn > earlier} if self._round > earlier else set()
            return self._round, fresh

    def get(self, device: str) -> Inventory | None:
        """Return a device as it was known when somebody looked last."""
        return self._known.get(device)

    def _listen(self, leaves: Iterable[str], now: datetime, *, is_brief: bool) -> None:
        for leaf in leaves:
            listening = self._listening[leaf]
            bodies = listening.fresh(now, is_brief=is_brief)
            if not bodies.keys() <= self._known.keys():
                self._admit()
            for device, body in bodies.items():
                if device in self._known:
                    self._known[device] = self._with(self._known[device], leaf, body)
            # Only now, so that a failure in between loses nothing.
            listening.keep()
            if bodies and leaf in SPOKEN:
                self._round += 1
                self._spoke.update(dict.fromkeys(bodies, self._round))

    def _with(self, device: Inventory, leaf: str, body: str) -> Inventory:
        if leaf == "health":
            return device.with_health(Health.model_validate_json(body))
        if leaf == "birth":
            return device.with_birth(self._alike.birth(Birth.model_validate_json(body)))
        reported = Reported.model_validate_json(body)
        return device.with_report(reported.generation, self._alike.models(reported))

    def _admit(self) -> None:
        """Follow who was let in, turned out, labelled or seen."""
        # A stamp stays a number until it has changed: most have not.
        stamps = (type_coerce(column, BigInteger) for column in (devices.c.added_at, devices.c.last_seen, devices.c.revoked_at))
        with self._database.reading() as connection:
            found = connection.execute(select(devices.c.id, devices.c.hardware, devices.c.labels, *stamps).order_by(devices.c.id)).all()
        rows: dict[str, _Row] = {row[0]: (row[1], row[2], row[3], row[4], row[5]) for row in found}
        if rows == self._rows:
            return
        known, before = self._known, self._rows
        self._known = {
            device: known[device] if before.get(device) == row else self._admitted(device, row, known.get(device))
            for device, row in rows.items()
        }
        self._rows = rows

    def _admitted(self, device: str, row: _Row, known: Inventory | None) -> Inventory:
        hardware, text, added, seen, revoked = row
        admission = Admission(self._alike.one(hardware), self._alike.labels(text), _moment(added), _moment(seen), revoked is not None)
        return known.admitted(admission) if known else new_inventory(device, admission)


class _Listening:
    """How far one kind of message has been heard."""

    def __init__(self, words: WordStore, leaf: str) -> None:
        self._words = words
        self._leaf = leaf
        # Which message of each device is known.
        self._known: dict[str, int] = {}
        self._newest = 0
        self._look: tuple[int | None, tuple[int, int]] | None = None
        self._looked_at_all: datetime | None = None
        self._keep: Callable[[], None] = lambda: None

    def fresh(self, now: datetime, *, is_brief: bool) -> dict[str, str]:
        """Return the messages that came since `keep`, by device; a brief look misses those with the stamps of others."""
        is_for_all = self._looked_at_all is None or now - self._looked_at_all >= LOOK_AT_ALL
        since = None if is_for_all else self._newest - LOOK_BACK_US
        look = (since, self._words.figure(self._leaf, since)) if is_brief else None
        if look is not None and look == self._look:
            return {}
        changed = [mark for mark in self._words.marks(self._leaf, since) if self._known.get(mark.device) != mark.which]
        bodies = self._words.bodies(self._leaf, [mark.device for mark in changed]) if changed else {}

        def keep() -> None:
            self._known.update((mark.device, mark.which) for mark in changed)
            self._newest = max([self._newest, *(mark.came_at for mark in changed)])
            self._look = look
            self._looked_at_all = now if is_for_all else self._looked_at_all

        self._keep = keep
        return bodies

    def keep(self) -> None:
        """Take what `fresh` returned for known."""
        self._keep()
        self._keep = lambda: None


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else moment(microseconds)
