"""What is asked of those who may use the API and the dashboard."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

TokenName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
UserName = TokenName
RoleName = Literal["viewer", "operator", "admin"]
# How long it must be is the server's to say, which does not repeat it.
PasswordText = Annotated[str, Field(max_length=1024, repr=False)]


class NewToken(BaseModel, frozen=True, extra="forbid"):
    """POST tokens: a person or a program that may use the API."""

    name: TokenName
    role: RoleName
    # None: until it is revoked.
    life_s: Annotated[float, Field(gt=0, le=10 * 365 * 86400)] | None = None


class NewUser(BaseModel, frozen=True, extra="forbid"):
    """POST users: a person who may sign in by a password."""

    name: UserName
    role: RoleName
    password: PasswordText


class NewPassword(BaseModel, frozen=True, extra="forbid"):
    """PUT users/{name}/password."""

    password: PasswordText


class NewRole(BaseModel, frozen=True, extra="forbid"):
    """PUT users/{name}/role."""

    role: RoleName


class GivenAccess(BaseModel, frozen=True):
    """An API token, shown this once, and how to reach the API from elsewhere."""

    name: str
    token: str
    url: str
    # The fleet authority's certificate, by which the server is recognised.
    ca: str


class LoginLink(BaseModel, frozen=True):
    """A link that opens the dashboard once."""

    url: str
    expires_at: AwareDatetime
