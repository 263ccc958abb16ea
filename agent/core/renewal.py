"""Decides when a certificate is due to be renewed, and names what the credential process is asked and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from contracts.messages import MAX_PEM_CHARS
from contracts.names import DeviceId, Sha256

# A third of its life is left for a fleet that cannot be reached.
DUE_AT = 2 / 3
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 3600.0

Pem = Annotated[str, Field(max_length=2 * MAX_PEM_CHARS)]


class Make(BaseModel, frozen=True, extra="forbid"):
    """Make a key, and a request for its certificate."""

    device: DeviceId


class Check(BaseModel, frozen=True, extra="forbid"):
    """Check that a key and its certificate fit together, name the device, and that the authority signed them."""

    device: DeviceId
    identity: Pem
    authority: Pem


class Follow(BaseModel, frozen=True, extra="forbid"):
    """Check that an authority that is believed vouches for the next one."""

    believed: Pem
    certificate: Pem
    voucher: Pem


class Believed(BaseModel, frozen=True, extra="forbid"):
    """The answer to Follow: whom to believe from now on, in PEM, the newest last."""

    authorities: Pem


class NextKey(BaseModel, frozen=True, extra="forbid"):
    """The answer to Make: a private key, and the request that may leave the device."""

    key: Pem
    csr: Pem


class Span(BaseModel, frozen=True, extra="forbid"):
    """The answer to Check: from when to when the certificate is good."""

    begins: AwareDatetime
    ends: AwareDatetime
    # Who signed it: hex SHA-256 of the authority's certificate.
    authority: Sha256

    @property
    def due(self) -> datetime:
        """When it is time for the next one."""
        return self.begins + (self.ends - self.begins) * DUE_AT

    def pause_s(self, now: datetime) -> float:
        """Return how long to wait before looking again: a clock may be set meanwhile, and a lost answer is asked for again."""
        until_due_s = (self.due - now).total_seconds()
        again_s = (self.ends - self.begins).total_seconds() / 100
        return min(max(until_due_s if until_due_s > 0 else again_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
