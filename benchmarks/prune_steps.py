"""How long one change is while old rows of ten thousand devices are deleted, and how long ingest waits for its turn meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, event, insert

from contracts.messages import DeviceEvent
from fleet.core.freshness import Heard
from fleet.store.database import Database
from fleet.store.tables import events, restart_counts, tallies
from fleet.store.uplinks import UplinkStore

RETENTION = timedelta(days=30)
EVENTS_OF_A_DEVICE = 10


def measured(database: Database, names: list[str], now: datetime) -> dict[str, float]:
    """Fill a database, let all of it grow too old, and prune it while somebody writes."""
    fill(database, names, now - RETENTION - timedelta(days=1))
    store = UplinkStore(database, RETENTION)
    steps: list[float] = []
    waits: list[float] = []
    is_done = threading.Event()
    _watch(database, steps)
    writer = threading.Thread(target=partial(_write, store, names[0], now, waits, is_done), name="ingest")
    writer.start()
    pruned = store.prune(now)
    is_done.set()
    writer.join()
    return {"pruned": pruned, "steps": len(steps), "longest_step_s": max(steps), "writes": len(waits), "longest_wait_s": max(waits)}


def fill(database: Database, names: list[str], at: datetime) -> None:
    """Put old rows of every device into each table that is pruned."""
    session = "f" * 16
    said = {"session": session, "at": at, "kind": "link", "severity": "info", "model": None, "text": "linked", "facts": "{}"}
    counted = {"session": session, "model": "digits", "restarts": 1, "first_at": at, "last_at": at}
    heard = {"session": session, "model": "", "newest": 9, "missing": "", "forgotten": 0, "merged": 0, "heard_at": at}
    with database.writing() as connection:
        connection.execute(insert(restart_counts), [{"device": name, **counted} for name in names])
        connection.execute(insert(tallies), [{"device": name, **heard} for name in names])
        for sequence in range(EVENTS_OF_A_DEVICE):
            connection.execute(insert(events), [{"device": name, "sequence": sequence, **said} for name in names])


def _watch(database: Database, steps: list[float]) -> None:
    """Note the CPU time from the first statement of each of this thread's changes to its end."""
    pruning, begun = threading.get_ident(), [0.0]

    def begin(_connection: Connection) -> None:
        if threading.get_ident() == pruning:
            begun[0] = time.thread_time()

    def end(_connection: Connection) -> None:
        if threading.get_ident() == pruning:
            steps.append(time.thread_time() - begun[0])

    hooks: tuple[tuple[str, Callable[[Connection], None]], ...] = (("begin", begin), ("commit", end))
    for name, hook in hooks:
        event.listen(database.engine, name, hook)


def _write(store: UplinkStore, device: str, now: datetime, waits: list[float], is_done: threading.Event) -> None:
    sequence = 0
    while not is_done.wait(0.005):
        sequence += 1
        said = DeviceEvent(session="e" * 16, sequence=sequence, sent_at=now, kind="link", severity="info", text="here")
        begun = time.perf_counter()
        store.save([Heard(device, "event", said, now)])
        waits.append(time.perf_counter() - begun)
