"""Why a rollout cannot begin, or did not succeed."""

from __future__ import annotations

from fleet.errors import FleetError


class UnknownRolloutError(FleetError):
    """No rollout of that number was started."""

    def __init__(self, rollout: int) -> None:
        super().__init__(f"rollout {rollout}: expected a rollout of this fleet, found none; `fieldfare rollout list` lists them")


class RolloutRunningError(FleetError):
    """A model's rollout is still under way."""

    def __init__(self, model: str, rollout: int) -> None:
        super().__init__(
            f"model {model}: expected no running rollout, found rollout {rollout}; "
            f"wait until it has ended, or end it: fieldfare rollout abort {rollout} --wait"
        )


class RolloutFailedError(FleetError):
    """A rollout that was waited for did not succeed."""

    exit_status = 1

    def __init__(self, rollout: int, reason: str) -> None:
        super().__init__(f"rollout {rollout}: expected every device to commit, found {reason}")


class RolloutStateError(FleetError):
    """A rollout stands elsewhere than where it could be done."""

    def __init__(self, rollout: int, expected: str, found: str) -> None:
        super().__init__(f"rollout {rollout}: expected {expected}, found {found}; `fieldfare rollout show {rollout}` tells more")


class ApprovalError(FleetError):
    """Who started a rollout cannot be the second person who approves it."""

    def __init__(self, rollout: int, actor: str) -> None:
        super().__init__(f"rollout {rollout}: expected the approval of a second person, found token {actor}, which started it")


class PlanError(FleetError):
    """A rollout cannot go as it was asked."""

    def __init__(self, part: str, expected: str, found: str) -> None:
        super().__init__(f"{part}: expected {expected}, found {found}")


class StaleRolloutError(FleetError):
    """Somebody else changed a rollout since it was read; whoever follows it reads it again."""

    def __init__(self, rollout: int, revision: int) -> None:
        super().__init__(f"rollout {rollout}: expected revision {revision}, found another; it is read again")
