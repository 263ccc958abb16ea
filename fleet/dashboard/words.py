"""Decides how values look to people: the word, icon and tone of every state, and numbers with their units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contracts.lifecycle import FINAL, Phase
from contracts.messages import ModelReport, ReleaseRef

Tone = Literal["good", "busy", "warn", "bad", "quiet"]


@dataclass(frozen=True)
class Look:
    """A state to the eye: never by colour alone."""

    icon: str
    tone: Tone
    meaning: str


# In the order in which an operator wants to see them.
STATUSES = {
    "offline": Look("cloud_off", "bad", "The fleet has lost contact."),
    "degraded": Look("warning", "warn", "It works, but not as it should."),
    "updating": Look("sync", "busy", "A release is on its way."),
    "new": Look("hourglass_empty", "quiet", "Added, and not heard of yet."),
    "healthy": Look("check_circle", "good", "All is well."),
}
PHASES = {
    Phase.PLANNED: Look("schedule", "quiet", "The rollout names the device; nothing was sent."),
    Phase.OFFERED: Look("mail", "quiet", "A signed wish names the release."),
    Phase.FETCHING: Look("download", "busy", "Bytes arrive."),
    Phase.STAGING: Look("inventory_2", "busy", "Unpacked beside the running release."),
    Phase.TESTING: Look("biotech", "busy", "The golden set runs on this very accelerator."),
    Phase.SHADOW: Look("compare", "busy", "It answers a share of the live inputs beside the release that serves, for comparison only."),
    Phase.SWITCHING: Look("swap_horiz", "busy", "The new worker takes over."),
    Phase.PROBATION: Look("visibility", "busy", "It serves, and the previous release is kept ready."),
    Phase.COMMITTED: Look("check_circle", "good", "Done."),
    Phase.ROLLED_BACK: Look("undo", "warn", "Tried and found wanting; the previous release serves."),
    Phase.FAILED: Look("error", "bad", "It could not be carried out."),
    Phase.REJECTED: Look("block", "bad", "Not for this device, or not to be trusted; nothing was tried."),
    Phase.CANCELLED: Look("cancel", "quiet", "The fleet withdrew it."),
}
OTHERS = {
    "running": Look("sync", "busy", "Under way."),
    "waiting": Look("how_to_reg", "warn", "A second person has to approve it."),
    "paused": Look("pause_circle", "warn", "Nobody else is offered it; who was offered it goes on."),
    "succeeded": Look("check_circle", "good", "Every device has the release."),
    "aborted": Look("cancel", "warn", "Stopped before its end."),
    "gate-pass": Look("check_circle", "good", "Surely within its limit."),
    "gate-stop": Look("cancel", "bad", "Surely worse than allowed."),
    "gate-wait": Look("hourglass_top", "busy", "Not enough is known yet."),
    "proven": Look("verified", "good", "The drop in accuracy is within its budget, with 95 % confidence."),
    "unproven": Look("help", "warn", "The estimated drop is within its budget, but the samples do not prove it."),
    "pending": Look("schedule", "quiet", "Told to the device; no answer yet."),
    "ok": Look("check_circle", "good", "Done."),
    "refused": Look("block", "warn", "The device would not."),
    "in-force": Look("check_circle", "good", "The device works by it."),
    "expired": Look("timer_off", "warn", "The device did not answer in time."),
    "info": Look("info", "quiet", "For the record."),
    "warning": Look("warning", "warn", "Worth a look."),
    "error": Look("error", "bad", "Needs attention."),
    "serving": Look("check_circle", "good", "Answers requests."),
    "starting": Look("sync", "busy", "Loads its model."),
    "draining": Look("sync", "busy", "Finishes its last requests."),
    "restarting": Look("restart_alt", "warn", "Ended, and is being started again."),
    "stopped": Look("stop_circle", "bad", "Does not run."),
}
LOOKS: dict[str, Look] = {**OTHERS, **{phase.value: look for phase, look in PHASES.items()}, **STATUSES}


SPOKEN = {"in-force": "in force", "gate-pass": "within limit", "gate-stop": "too bad", "gate-wait": "watching"}


def words_of(state: str) -> str:
    """Write a state's name as people do."""
    return SPOKEN.get(state, state.replace("_", " "))


def devices(count: int) -> str:
    """Write a number of devices."""
    return f"{count} device{'' if count == 1 else 's'}"


def count(number: int) -> str:
    """Write a large number so that it can be read."""
    return f"{number:,}".replace(",", "\u202f")


def short_digest(sha256: str) -> str:
    """Return enough of a digest to tell releases apart."""
    return sha256[:12]


def release_name(ref: ReleaseRef | None) -> str:
    """Write a release as model and counter."""
    return f"{ref.model} {ref.release}" if ref else "–"


def size(count: int) -> str:
    """Write a number of bytes, in decimal units."""
    for unit, length in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """Write a length of time in the largest unit that leaves it whole, or nearly so."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (seconds >= length and seconds % length == 0):
            return f"{seconds / length:g} {unit}" if seconds % length == 0 else f"{seconds / length:.1f} {unit}"
    return f"{seconds:g} s"


def number(value: float) -> str:
    """Write a rate or duration with about three digits."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")


def epoch_ms(moment: datetime) -> int:
    """Return a moment as browsers count it."""
    return round(moment.timestamp() * 1000)


def percent(share: float) -> str:
    """Write a share of one as percent."""
    return f"{share * 100:.0f} %"


def phase_to_show(reports: dict[str, ModelReport]) -> ModelReport | None:
    """Return the report of the model on whose way most is left to see: under way first, then gone wrong, then done."""
    order = {
        phase: index for index, phase in enumerate((Phase.COMMITTED, Phase.CANCELLED, Phase.REJECTED, Phase.ROLLED_BACK, Phase.FAILED))
    }
    return max(reports.values(), key=lambda report: order[report.phase] if report.phase in FINAL else len(order), default=None)
