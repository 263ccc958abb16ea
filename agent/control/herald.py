"""Tells the fleet how one model's update goes; what it says never changes the outcome."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from agent.control.reporter import Reporter
from agent.core.alarm import Alarm
from agent.core.preflight import Refusal
from agent.core.update import Update
from contracts.lifecycle import FINAL, Phase
from contracts.messages import ModelReport, ReleaseRef

PROGRESS_STEP = 0.01
# The phases of which a share that is done can be told.
MEASURED = frozenset({Phase.FETCHING, Phase.STAGING})
MAX_REASON_CHARS = 1000


class Herald:
    """One model's voice."""

    def __init__(self, model: str, reporter: Reporter, noun: str = "release", report: Callable[[ModelReport], None] | None = None) -> None:
        """Speak of the releases of `model`, or of what else `noun` says, through `reporter`."""
        self._model = model
        self._noun = noun
        self._reporter = reporter
        self._report = report or partial(reporter.report_model, model)
        self._progress = 0.0
        # Why a download waits, and how far the building of an engine is.
        self._refusal = ""
        self._building = ""
        # Why the machine does not go on.
        self._hold = ""

    def report(self, update: Update, target: str, endpoint: str) -> None:
        """Tell where the model stands."""
        waits = {Phase.FETCHING: self._refusal, Phase.STAGING: self._building}.get(update.phase, "")
        self._report(
            ModelReport(
                phase=update.phase,
                reason=(self._hold or waits or update.reason)[:MAX_REASON_CHARS],
                progress=round(self._progress, 2) if update.phase in MEASURED else 0.0,
                attempt=update.attempt,
                current=update.current,
                previous=update.previous,
                candidate=update.candidate,
                last=update.last,
                target=target,
                endpoint=endpoint,
            ),
        )

    def tell(self, before: Update, update: Update) -> None:
        """Tell what a step has changed."""
        if (update.phase, update.candidate) != (before.phase, before.candidate):
            self._progress, self._refusal, self._building = 0.0, "", ""
        if update.last is not None and update.last != before.last:
            severity: Literal["info", "warning"] = "info" if update.last.result is Phase.COMMITTED else "warning"
            self._tell_phase(update.last.release, update.last.result, severity, update.last.reason)
        if update.phase is not before.phase and update.phase not in FINAL and update.candidate is not None:
            self._tell_phase(update.candidate, update.phase, "info", "")

    def is_news(self, share: float) -> bool:
        """Take in what share is done, and say whether that is worth a report."""
        is_worth_it = share - self._progress >= PROGRESS_STEP
        if is_worth_it:
            self._progress = min(share, 1.0)
        return is_worth_it

    def build(self, text: str) -> bool:
        """Take in how far the building of an engine is, for the next report; say whether it has just begun."""
        is_first = not self._building
        self._building = text
        return is_first

    def refuse(self, refusal: Refusal | None) -> None:
        """Tell why the device does not take a release now, or that it does again."""
        self._refusal = "" if refusal is None else refusal.text
        if refusal is not None:
            self._reporter.event("refused", "warning", f"not now: {refusal.text}", self._model, {"class": refusal.name})

    def hold(self, phase: Phase, reason: str) -> None:
        """Tell why the machine stays as it is; once, however often it is tried."""
        if not self._hold:
            self._reporter.event("phase", "error", f"held at {phase.value}: {reason}", self._model, {"phase": phase.value})
        self._hold = reason

    def go_on(self, phase: Phase) -> None:
        """Tell that the machine goes on."""
        if self._hold:
            self._reporter.event("phase", "info", f"goes on from {phase.value}: the disk takes its state again", self._model)
        self._hold = ""

    def alarm(self, release: ReleaseRef, alarm: Alarm) -> None:
        """Tell that a release's workers fail, or that they serve again."""
        facts = {"state": alarm.state, "release": str(release.release), "manifest_sha256": release.manifest_sha256}
        if alarm.pause_s is not None:
            facts["pause_s"] = f"{alarm.pause_s:.3f}"
        self._reporter.event("worker", alarm.severity, f"release {release.release} {alarm.text}", self._model, facts)

    def _tell_phase(self, release: ReleaseRef, phase: Phase, severity: Literal["info", "warning"], reason: str) -> None:
        text = f"{self._noun} {release.release} {phase.value}" + (f": {reason}" if reason else "")
        facts = {"phase": phase.value, "release": str(release.release), "manifest_sha256": release.manifest_sha256}
        self._reporter.event("phase", severity, text, self._model, facts)
