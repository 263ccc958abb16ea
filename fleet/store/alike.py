"""Keeps once what many devices say alike: a fleet of ten thousand runs a handful of releases on a handful of machines."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar, cast

from contracts.messages import Birth, ModelReport, Outcome, ReleaseRef, Reported
from fleet.store.rows import TEXT_BY_NAME

# Past so many, devices have little alike.
MAX_KEPT = 20_000

Value = TypeVar("Value", bound=Hashable)
Key = TypeVar("Key", bound=str)


class Alike:
    """What was seen before, by itself."""

    def __init__(self) -> None:
        """Nothing was seen."""
        self._kept: dict[object, object] = {}

    def one(self, value: Value) -> Value:
        """Return the first of all that are equal to it."""
        return cast("Value", self._first(value, value))

    def labels(self, text: str) -> Mapping[str, str]:
        """Read labels that are kept as text."""
        found = self._kept.get(("labels", text))
        return cast("Mapping[str, str]", found or self._first(("labels", text), TEXT_BY_NAME.validate_json(text)))

    def mapping(self, texts: Mapping[Key, str]) -> Mapping[Key, str]:
        """Return the first mapping with the same entries."""
        return cast("Mapping[Key, str]", self._first(tuple(texts.items()), texts))

    def models(self, reported: Reported) -> Mapping[str, ModelReport]:
        """Return how models do, with releases that are kept once."""
        return {self.one(model): self._report(report) for model, report in reported.models.items()}

    def birth(self, birth: Birth) -> Birth:
        """Return a birth whose long parts are kept once."""
        machine = birth.machine
        parts = {
            "targets": self.one(birth.targets),
            "labels": self.mapping(birth.labels),
            "runtimes": self.mapping(birth.runtimes),
            "agent_version": self.one(birth.agent_version),
            "machine": self.one(machine),
        }
        return birth.model_copy(update=parts)

    def _report(self, report: ModelReport) -> ModelReport:
        parts: dict[str, object] = {name: self._release(getattr(report, name)) for name in ("current", "previous", "candidate")}
        return report.model_copy(update={**parts, "last": self._outcome(report.last)})

    def _outcome(self, outcome: Outcome | None) -> Outcome | None:
        return outcome and outcome.model_copy(update={"release": self._release(outcome.release), "reason": self.one(outcome.reason)})

    def _release(self, release: ReleaseRef | None) -> ReleaseRef | None:
        return release and self.one(release)

    def _first(self, key: object, value: object) -> object:
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        return self._kept.setdefault(key, value)
