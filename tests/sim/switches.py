"""Brings one release of the tiny model after the other onto a device, and says how callers ask it meanwhile."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from contracts.lifecycle import Phase
from tests.sim.fleet import SimFleet
from tests.sim.open_loop import Order
from tests.sim.releases import Release
from tests.sim.tiny_release import MODEL, TinyRelease


class Span(NamedTuple):
    """From when to when, on the system's monotonic clock."""

    from_s: float
    to_s: float


def tiny(folder: Path, number: int, seed: int | None = None) -> Release:
    """Compile a real release by hand; those of one seed compute the same."""
    manifest = TinyRelease(release=number, seed=number if seed is None else seed).write(folder)
    return Release(manifest, {path: (folder / path).read_bytes() for path in manifest.files})


def switch_to(fleet: SimFleet, device: str, release: Release) -> Span:
    """Wish for a release; return when it was wished for and committed."""
    mark = fleet.mark
    fleet.release(release)
    began_s = time.monotonic()
    fleet.wish(device, release.manifest.release, release)
    fleet.wait_for_model(device, lambda found: found.phase is Phase.COMMITTED and found.current == release.ref, model=MODEL, since=mark)
    return Span(began_s, time.monotonic())


def order_for(port: int, state: Path, requests_per_s: float = 200.0) -> Order:
    """Return what to ask of the tiny model that a device serves, whose agent's state is there."""
    body = json.dumps({"inputs": [{"name": "image", "shape": [1, 4, 4], "datatype": "UINT8", "data": list(range(16))}]})
    token = (state / "api.token").read_text().strip()
    return Order(port, f"/v2/models/{MODEL}/infer", {"Authorization": f"Bearer {token}"}, body, requests_per_s)
