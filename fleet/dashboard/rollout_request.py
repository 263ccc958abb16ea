"""Decides what a filled-in form asks for: a rollout's request from what was typed, and a preview in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from contracts.codec import invalid_document
from contracts.errors import InvalidDocumentError
from fleet.dashboard.words import devices, size
from fleet.plans import IN_SHADOW, SERVING
from fleet.requests.rollouts import GateName, NewRollout
from fleet.views.targeting import RolloutPreview

STRATEGIES: tuple[str, ...] = get_args(NewRollout.model_fields["strategy"].annotation)
METRICS: tuple[str, ...] = get_args(GateName)
UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# What each strategy asks for beside what all do: the very gates that its plan takes.
LIMITS: Mapping[str, frozenset[GateName]] = {
    "all-at-once": frozenset(),
    "phased": SERVING,
    "canary": SERVING,
    "shadow": IN_SHADOW,
    "split": SERVING,
}
LIMIT_HINTS = {
    "errors": "0.02 for two more of a hundred",
    "p95": "1.2 times the usual",
    "restarts": "0.5 more an hour",
    "temperature": "3 °C warmer",
    "drift": "0.2, a stability index",
    "agreement": "0.98 of the inputs at least",
    "confidence": "0.05 less at most",
}
# Fields beside limits, by the strategies that have them; the others belong to all.
FIELDS_OF: Mapping[str, frozenset[str]] = {
    "waves": frozenset({"phased", "canary", "shadow"}),
    "threshold": frozenset({"phased", "canary", "shadow"}),
    "soak": frozenset({"phased", "canary", "shadow"}),
    "rival": frozenset({"split"}),
    "hold": frozenset({"split"}),
    **dict.fromkeys(("share", "min_inputs", "max_cpu", "max_temperature_c"), frozenset({"shadow"})),
}


def limit_field(metric: str) -> str:
    """Name the field of a metric's limit."""
    return f"limit-{metric}"


def is_asked(field: str, strategy: str) -> bool:
    """Say whether a strategy asks for a field; what another one was asked for is not sent."""
    metric = next((metric for metric in METRICS if limit_field(metric) == field), None)
    return metric in LIMITS[strategy] if metric is not None else strategy in FIELDS_OF.get(field, (strategy,))


def request_of(said: Mapping[str, str | bool]) -> NewRollout:
    """Read a form, in which empty fields leave the choice to the strategy; raise InvalidDocumentError naming the field."""

    strategy = str(said.get("strategy"))

    def text(name: str) -> str | None:
        return (str(said.get(name) or "").strip() or None) if is_asked(name, strategy) else None

    model, _, release = (text("release") or "").rpartition(" ")
    gate = {metric: limit for metric in METRICS if (limit := text(limit_field(metric))) is not None}
    body: dict[str, Any] = {
        "model": model,
        "release": release,
        "query": text("query") or "all",
        "strategy": strategy,
        "waves": tuple(part.strip() for part in (text("waves") or "").split(",") if part.strip()) or None,
        "gate": {metric: _number(metric, limit) for metric, limit in gate.items()} or None,
        "threshold": text("threshold"),
        "soak_s": _seconds("soak", text("soak")),
        "hold_s": _seconds("hold", text("hold")),
        "share": _share(text("share")),
        "min_inputs": text("min_inputs"),
        "max_cpu": _given("max_cpu", text("max_cpu")),
        "max_temperature_c": _given("max_temperature_c", text("max_temperature_c")),
        "window": text("window"),
        "zone": text("zone") or "UTC",
        "rate_per_min": text("rate"),
        "rival": (text("rival") or "").rpartition(" ")[2] or None,
        "approval": bool(said.get("approval")),
        "newcomers": bool(said.get("newcomers")),
        "take_back": True if said.get("take_back") else None,
    }
    try:
        return NewRollout.model_validate(body)
    except ValidationError as error:
        raise invalid_document("rollout", error) from error


def headline(preview: RolloutPreview) -> str:
    """Say how many would get it, and what that would take."""
    download = sum(artifact.download_bytes for artifact in preview.artifacts)
    without = f"; {devices(preview.excluded)} would not" if preview.excluded else ""
    return f"{devices(preview.chosen)} would get it ({size(download)} to download){without}."


def artifacts(preview: RolloutPreview) -> list[tuple[str, int, str]]:
    """Return each artifact with how many would take it, and the largest download of it."""
    commonest_first = sorted(preview.artifacts, key=lambda artifact: -artifact.devices)
    return [(artifact.target, artifact.devices, size(artifact.largest_bytes)) for artifact in commonest_first]


def obstacles(preview: RolloutPreview) -> list[tuple[str, int, str]]:
    """Return each obstacle with the first device's reason, how many devices are left out for it, and which for example."""
    commonest_first = sorted(preview.obstacles, key=lambda obstacle: -obstacle.devices)
    return [
        (f"{one.obstacle}: {one.reason}", one.devices, ", ".join(one.such_as) + (" …" if one.devices > len(one.such_as) else ""))
        for one in commonest_first
    ]


def examples(preview: RolloutPreview) -> str:
    """Name some of those that would get it."""
    names = [name for artifact in preview.artifacts for name in artifact.such_as]
    return ", ".join(names) + (f" and {preview.chosen - len(names)} more" if preview.chosen > len(names) else "")


def question(new: NewRollout, preview: RolloutPreview) -> tuple[str, ...]:
    """Return what is asked before it starts."""
    begins = "It waits for the approval of a second person." if new.approval else "It begins at once."
    waves = f"Waves: {', '.join(new.waves)}." if new.waves else "" if new.strategy == "all-at-once" else f"The waves of {new.strategy}."
    return tuple(filter(None, (headline(preview), f"Whom: {preview.query}; the list is frozen now.", waves, begins)))


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InvalidDocumentError("rollout", name, "a number such as 0.02", repr(text)) from error


def _given(name: str, text: str | None) -> float | None:
    return None if text is None else _number(name, text)


def _share(text: str | None) -> float | None:
    """Read a share of one, also as percent."""
    if text is None or not text.endswith("%"):
        return _given("share", text)
    return _number("share", text.removesuffix("%").strip()) / 100


def _seconds(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip()
    if unit not in UNITS:
        raise InvalidDocumentError("rollout", name, "a time such as 15m, 2h or 1d", repr(text))
    return _number(name, digits) * UNITS[unit]
