"""Why a machine is not let into the fleet, or a person not into the API."""

from __future__ import annotations

from datetime import datetime

from fleet.errors import FleetError


class EnrolmentTokenError(FleetError):
    """A token that opens nothing (any more)."""

    exit_status = 1

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"enrolment token: expected {expected}, found {found}; get a new one with `fieldfare device token`")

    @classmethod
    def unknown(cls) -> EnrolmentTokenError:
        """Nobody gave it out, or it was forgotten long after its end."""
        return cls("one that this fleet gave out", "another")

    @classmethod
    def ended(cls, at: datetime) -> EnrolmentTokenError:
        """It came too late."""
        return cls("one that has not ended", f"one that ended at {at.isoformat(timespec='seconds')}")

    @classmethod
    def used_up(cls) -> EnrolmentTokenError:
        """As many machines came with it as may."""
        return cls("one that can still be used", "one that was used up")


class WrongDeviceNameError(FleetError):
    """A token names the device, or leaves it to the machine to do so."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"enrolment: expected {expected}, found {found}")


class RevokedError(FleetError):
    """A device that was turned out asks for something."""

    exit_status = 1

    def __init__(self, device: str) -> None:
        super().__init__(f"device {device}: expected a device in good standing, found one that was revoked")


class TooManyCertificatesError(FleetError):
    """A device collects certificates."""

    exit_status = 1

    def __init__(self, device: str, limit: int) -> None:
        super().__init__(
            f"device {device}: expected fewer than {limit} certificates that have not ended, found {limit}; revoke and enrol it"
        )


class ForbiddenError(FleetError):
    """A token is good, but not for this."""

    def __init__(self, needed: str, found: str) -> None:
        super().__init__(f"expected a token with role {needed}, found role {found}; ask an admin for one: `fieldfare token create`")


class TokenExistsError(FleetError):
    """A token's name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"token {name}: expected a new name, found one that exists; choose another or revoke it")


class UnknownTokenNameError(FleetError):
    """No token of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"token {name}: expected a token of this fleet, found none; `fieldfare token list` lists them")
