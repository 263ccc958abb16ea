"""Requests as people send them, for the API's document."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "ConfigurationChange": {"query": "label.site = lyon", "set": {"telemetry.health_interval_s": 60}, "dry_run": True},
    "LabelChange": {"devices": {"pi-1": None}, "put": {"site": "lyon"}, "drop": ["room"]},
    "NewCommand": {"kind": "logs", "arguments": {"lines": 100}},
    "NewEnrolmentToken": {"hardware": "rpi5", "labels": {"site": "lyon"}, "uses": 10, "life_s": 3600},
    "NewGroup": {"query": 'hw = "rpi5" and label.site = lyon'},
    "NewRollout": {"model": "digits", "query": "all", "strategy": "canary", "waves": ["5%", "100%"], "gate": {"errors": 0.02}},
    "NewToken": {"name": "ci", "role": "operator", "life_s": 7776000},
    "Problem": {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "device pi-9: expected a device of this fleet, found none; `fieldfare devices` lists them",
    },
}
