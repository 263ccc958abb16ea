"""What is asked of the fleet's authority, and the answers."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel


class RootState(BaseModel, frozen=True):
    """One root of the fleet's authority."""

    # Hex SHA-256 of the certificate in DER.
    fingerprint: str
    ends_at: AwareDatetime


class Dependent(BaseModel, frozen=True):
    """A device that would be cut off without the present root."""

    device: str
    online: bool


class AuthorityState(BaseModel, frozen=True):
    """The fleet's authority, and how many devices have yet to come over to the one that follows."""

    present: RootState
    following: RootState | None
    # Whether the present one goes when the server starts again.
    is_retiring: bool
    # Devices that would be cut off without the present one; 0 where none follows it.
    dependents: int


class Retirement(BaseModel, frozen=True, extra="forbid"):
    """The order to let the present root go."""

    # Whether devices that depend on it are turned out; else there must be none.
    leaves: bool = False
