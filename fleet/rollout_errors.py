"""Why a rollout does not do what a person asks of it."""

from __future__ import annotations

from fleet.errors import FleetError


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
