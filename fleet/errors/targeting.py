"""The errors of queries, groups and labels: each names the thing, what was expected, what was found and what to do."""

from __future__ import annotations

from fleet.errors import FleetError


class UnknownGroupError(FleetError):
    """No group of that name was saved."""

    def __init__(self, group: str, close: str | None = None) -> None:
        hint = f"did you mean {close}?" if close else "`fieldfare group list` lists them"
        super().__init__(f"group {group}: expected a saved group, found none; {hint}")


class GroupInGroupError(FleetError):
    """A saved query names another group."""

    def __init__(self, group: str, named: str) -> None:
        super().__init__(f"group {group}: expected a query that names no group, found {named}; write that group's own query in its place")


class StaleVersionError(FleetError):
    """Somebody else was faster: what was to be changed is not what its author saw."""

    def __init__(self, thing: str, expected: str, found: str) -> None:
        super().__init__(f"{thing}: expected version {expected}, found {found}; look at it again, and repeat the change if it still holds")


class LabelsError(FleetError):
    """A device's labels cannot become what was asked."""

    def __init__(self, device: str, expected: str, found: str) -> None:
        super().__init__(f"device {device}: expected {expected}, found {found}")
