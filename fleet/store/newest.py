"""Remembers what of every device's newest words the fleet's numbers need, and reads again only what changed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import BigInteger, Connection, select, tuple_, type_coerce

from contracts.messages import Birth, Health, ReleaseRef, Reported
from fleet.core.status import Gist
from fleet.store.tables import reports

LEAVES = ("birth", "reported", "health")
ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class Known:
    """Of one device."""

    gist: Gist
    running: tuple[ReleaseRef, ...]


NOTHING = Known(Gist(), ())


class Newest:
    """About 1 kB a device: reading and checking a fleet's words takes some hundred times as long as asking which are new."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        # Which message is known of a device and kind. A last will repeats the number of its birth, and comes later.
        self._seen: dict[tuple[str, str], tuple[str, int, int]] = {}
        self._known: dict[str, Known] = {}

    def read(self, connection: Connection) -> Mapping[str, Known]:
        """Return what is known of those devices that ever spoke."""
        arrived = type_coerce(reports.c.received_at, BigInteger)
        told = (reports.c.device, reports.c.leaf, reports.c.session, reports.c.sequence, arrived)
        query = select(*told).where(reports.c.leaf.in_(LEAVES))
        with self._lock:
            found = {(row[0], row[1]): (row[2], row[3], row[4]) for row in connection.execute(query)}
            changed = [key for key, which in found.items() if self._seen.get(key) != which]
            for start in range(0, len(changed), ROWS_AT_ONCE):
                self._learn(connection, changed[start : start + ROWS_AT_ONCE])
            self._seen = found
            return dict(self._known)

    def _learn(self, connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
        query = select(reports.c.device, reports.c.leaf, reports.c.body).where(tuple_(reports.c.device, reports.c.leaf).in_(list(keys)))
        for device, leaf, body in connection.execute(query):
            self._known[device] = _with(self._known.get(device, NOTHING), leaf, body)


def _with(known: Known, leaf: str, body: str) -> Known:
    match leaf:
        case "birth":
            return replace(known, gist=known.gist.with_birth(Birth.model_validate_json(body)))
        case "health":
            return replace(known, gist=known.gist.with_health(Health.model_validate_json(body)))
    models = Reported.model_validate_json(body).models
    running = tuple(report.current for report in models.values() if report.current is not None)
    return Known(known.gist.with_models(models), running)
