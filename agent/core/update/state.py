"""What is remembered of one model on this device."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.slots import Slots
from contracts.lifecycle import Phase
from contracts.messages import Outcome, ReleaseRef
from contracts.shadow import ShadowTerms

# A release that was unpacked or started when the agent died is given this many tries in all.
MAX_ATTEMPTS = 3
# In probation.
MAX_CRASHES = 3
# On trial: so many crashes of the worker and deaths of the agent in all.
MAX_STRIKES = 5


@dataclass(frozen=True)
class Update:
    """One model on this device; OFFERED without a candidate means that no wish was heard yet.

    The last known good is what served steadily last: `current`, or `previous` while `current` is still on trial.
    """

    phase: Phase = Phase.OFFERED
    # What the fleet asked for last, whatever became of it.
    wish: ReleaseRef | None = None
    # Only while it is under way.
    candidate: ReleaseRef | None = None
    manifest_bytes: int = 0
    current: ReleaseRef | None = None
    previous: ReleaseRef | None = None
    attempt: int = 0
    crashes: int = 0
    reason: str = ""
    last: Outcome | None = None
    # Of the document that held the wish.
    generation: int = 0
    # Without progress in the present phase.
    waited_s: float = 0.0
    # The newest end was a failure that may pass: of link, disk or time.
    is_transient: bool = False
    # How often the wish was taken up again after such an end, by ourselves.
    retries: int = 0
    # Which release served steadily last.
    good: ReleaseRef | None = None
    # Crashes of the committed release's worker, and deaths of the agent, while it is on trial.
    strikes: int = 0
    # The agent left in good order, so that no release is to blame for its end.
    has_left: bool = False
    # The wish is for a shadow, on these terms; and how long it was one before the newest start of the agent.
    shadow: ShadowTerms | None = None
    shadowed_s: float = 0.0

    @property
    def slots(self) -> Slots:
        """Return which unpacked releases the device's links shall name."""
        is_unpacked = self.phase in {Phase.TESTING, Phase.SHADOW, Phase.SWITCHING, Phase.PROBATION}
        return Slots(digest_of(self.current), digest_of(self.previous), digest_of(self.candidate) if is_unpacked else None)

    @property
    def needed(self) -> frozenset[str]:
        """Return the releases whose files must stay, also while they are only being unpacked."""
        named = (self.current, self.previous, self.candidate)
        return frozenset(release.manifest_sha256 for release in named if release is not None)

    @property
    def is_on_trial(self) -> bool:
        """Say whether the committed release has still to show itself steady, and there is another one to go back to."""
        return self.current is not None and self.previous is not None and not is_same(self.current, self.good)

    @property
    def may_try_again(self) -> bool:
        """Say whether the fleet still wishes a release that failed for a reason that may pass."""
        return self.is_transient and self.wish is not None and self.last is not None and is_same(self.last.release, self.wish)


def digest_of(release: ReleaseRef | None) -> str | None:
    """Return what a release is known by."""
    return None if release is None else release.manifest_sha256


def is_same(one: ReleaseRef | None, other: ReleaseRef | None) -> bool:
    """Say whether both are one release, or both none."""
    return digest_of(one) == digest_of(other)
