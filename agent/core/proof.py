"""Decides what a proof says: that one release computed right on one platform, and when that has to be shown again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from agent.core.platform import Platform

MAX_PROOF_BYTES = 64 * 1024
Severity = Literal["info", "warning", "error"]


class Proof(BaseModel, frozen=True, extra="ignore"):
    """How a release's golden set went, what ran it, and on which platform; kept with the release."""

    platform: Platform
    passed: bool
    runtime: str
    provider: str
    preferred_provider: str
    samples: Annotated[int, Field(ge=0)]
    error: float
    reason: str = ""
    at: AwareDatetime


def worth_telling(release: int, before: Proof | None, now: Proof) -> tuple[Severity, str] | None:
    """Return what people must hear of a new proof, None when it is what everybody expects.

    A first proof that fails is not told here: it ends the release's update, and that is told. One that fails where an earlier one passed
    is an alarm. So is, once, work that was left to something slower than the hardware's best.
    """
    changes = "" if before is None else now.platform.changes_since(before.platform)
    since = f" since {changes}" if changes else ""
    if not now.passed:
        return ("error", f"release {release} fails its golden set{since}: {now.reason}") if before is not None and before.passed else None
    if now.provider != now.preferred_provider and (before is None or before.provider != now.provider):
        return "warning", f"release {release} runs on {now.provider}, expected {now.preferred_provider}{since}"
    return ("info", f"release {release} was proved again{since}") if before is not None and (changes or not before.passed) else None
