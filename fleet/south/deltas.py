"""Makes deltas that devices could use, each once: one at a time, in a process of its own, within limits of size and time."""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from contracts.bundle import file_entry
from contracts.downlinks import Offer
from fleet.delta_maker import MADE, NOT_WORTH_IT
from fleet.errors.releases import DeltaFailedError, UnknownArtifactError
from fleet.store.deltas import Finding

# Larger files are sent whole.
MAX_TARGET_BYTES = 1 << 30
# An offer lists the delta's chunks, and must fit in one message.
MAX_DELTA_BYTES = 512 << 20
# A delta of more than this share of its target saves too little for the device's work.
MAX_SHARE = 0.9
MAX_BASES_PER_TARGET = 16
MAX_WAITING = 64
MAKE_S = 600.0
PATIENCE_S = 0.25

log = logging.getLogger("fleet.deltas")


class Store(Protocol):
    """Files, and what is known of deltas between them."""

    def find(self, base: str, target: str) -> Finding | None:
        """Return what is known of a pair."""

    def count(self, target: str) -> int:
        """Return how many bases were tried for a target."""

    def keep(self, base: str, target: str, finding: Finding) -> None:
        """Remember a pair."""

    def export(self, sha256: str, file: Path) -> None:
        """Copy a file; raise UnknownArtifactError."""

    def add(self, file: Path, sha256: str) -> None:
        """Take in a file."""


class Pair(NamedTuple):
    """From which file to which."""

    base: str
    target: str


class Deltas:
    """What can be offered, and the loop that makes it; asked by one thread while another makes."""

    def __init__(self, store: Store, workspace: Path) -> None:
        """Nothing is made before `turn`; files lie in the folder `workspace` meanwhile."""
        self._workspace = workspace
        self._store = store
        self._orders: queue.Queue[Pair] = queue.Queue(MAX_WAITING)
        self._pending: set[Pair] = set()
        # Not remembered for good: the next server may have more luck.
        self._failed: set[Pair] = set()
        # Grows with each order that is done.
        self.settled = 0

    def answer(self, target: str, target_bytes: int, bases: tuple[str, ...]) -> Offer | Literal["later", "none"]:
        """Return the smallest delta, or whether waiting for one makes sense; what is not known yet is ordered."""
        if not 0 < target_bytes <= MAX_TARGET_BYTES:
            return "none"
        offers: list[Offer] = []
        is_coming = False
        for base in bases:
            pair = Pair(base, target)
            finding = self._store.find(base, target)
            if finding is None:
                is_coming |= self._order(pair)
            elif finding.offer is not None:
                offers.append(finding.offer)
        if is_coming:
            return "later"
        offers.sort(key=lambda offer: offer.delta.bytes)
        return offers[0] if offers else "none"

    def turn(self) -> None:
        """Make the next delta; raise DeltaFailedError when that cannot be done."""
        try:
            pair = self._orders.get(timeout=PATIENCE_S)
        except queue.Empty:
            return
        try:
            self._make(pair)
        except (DeltaFailedError, UnknownArtifactError):
            self._failed.add(pair)
            raise
        finally:
            self._pending.discard(pair)
            self.settled += 1

    def _order(self, pair: Pair) -> bool:
        if pair in self._pending:
            return True
        if pair in self._failed or len(self._pending) >= MAX_WAITING or self._store.count(pair.target) >= MAX_BASES_PER_TARGET:
            return False
        self._pending.add(pair)
        self._orders.put_nowait(pair)
        return True

    def _make(self, pair: Pair) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix=".delta-", dir=self._workspace) as folder:
                base, target, delta = (Path(folder) / name for name in ("base", "target", "delta"))
                self._store.export(pair.base, base)
                self._store.export(pair.target, target)
                finding = Finding(offer=self._run(pair, base, target, delta))
        except OSError as error:
            raise DeltaFailedError(pair.base, pair.target, str(error)) from error
        self._store.keep(pair.base, pair.target, finding)

    def _run(self, pair: Pair, base: Path, target: Path, delta: Path) -> Offer | None:
        max_bytes = min(int(MAX_SHARE * target.stat().st_size), MAX_DELTA_BYTES)
        command = [sys.executable, "-m", "fleet.delta_maker", str(base), str(target), str(delta), str(max_bytes)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        try:
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False, timeout=MAKE_S)
        except subprocess.TimeoutExpired as error:
            raise DeltaFailedError(pair.base, pair.target, f"none in {MAKE_S:g} s") from error
        if done.returncode == NOT_WORTH_IT:
            log.info("no delta from %s to %s that is worth its bytes", *pair)
            return None
        if done.returncode != MADE:
            raise DeltaFailedError(pair.base, pair.target, f"exit status {done.returncode}")
        entry = file_entry(delta.read_bytes())
        self._store.add(delta, entry.sha256)
        log.info("delta of %d bytes from %s to %s of %d bytes", entry.bytes, *pair, target.stat().st_size)
        return Offer(base=pair.base, target=pair.target, delta=entry)
