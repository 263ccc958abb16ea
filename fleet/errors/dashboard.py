"""Why the dashboard does not do what a page asked of it."""

from __future__ import annotations

from fleet.errors import FleetError


class SignedOutError(FleetError):
    """Whoever is at the browser may no longer enter."""

    def __init__(self) -> None:
        super().__init__("expected somebody who is signed in, found a name that may no longer enter; sign in again")
