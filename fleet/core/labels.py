"""Decides how labels change, and by what one set of them is told from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping

from fleet.errors.targeting import LabelsError

MAX_LABELS = 32
# How a device that is played is told from a real one.
SIMULATED: Mapping[str, str] = {"simulated": "yes"}


def version_of(labels: Mapping[str, str]) -> str:
    """Return what a change has to name, so that it changes what its author saw."""
    return hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]


def changed(device: str, labels: Mapping[str, str], put: Mapping[str, str], drop: Collection[str]) -> dict[str, str]:
    """Return a device's labels after a change; raise LabelsError."""
    after = {key: value for key, value in {**labels, **put}.items() if key not in drop}
    if len(after) > MAX_LABELS:
        raise LabelsError(device, f"at most {MAX_LABELS} labels", str(len(after)))
    for key in SIMULATED:
        if labels.get(key) != after.get(key):
            raise LabelsError(device, f"label {key} as it is, because it tells who is played", "a change of it")
    return after
