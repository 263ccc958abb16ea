"""Keeps who was sent to the identity provider until he comes back, once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete

from fleet.store.credentials import digest
from fleet.store.database import Database
from fleet.store.tables import openid_trips

# For whoever first has to find a second factor.
LIFE = timedelta(minutes=10)


@dataclass(frozen=True)
class Trip:
    """What the answer is checked against: the token's nonce, the code's verifier, and where the browser was to come back to."""

    nonce: str
    verifier: str
    address: str


class OpenIdTripStore:
    """In the database, so that another server than the one that sent a browser away can take it back."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def begin(self, state: str, browser: str, trip: Trip, now: datetime) -> None:
        """Send a browser away."""
        row = {"nonce": trip.nonce, "verifier": trip.verifier, "address": trip.address, "expires_at": now + LIFE}
        with self._database.writing() as connection:
            connection.execute(delete(openid_trips).where(openid_trips.c.expires_at <= now))
            connection.execute(openid_trips.insert().values(sha256=digest(state), browser=digest(browser), **row))

    def end(self, state: str, browser: str, now: datetime) -> Trip | None:
        """Take a browser back, once; None for one that was not sent, or by another's state."""
        mine = (openid_trips.c.sha256 == digest(state)) & (openid_trips.c.browser == digest(browser)) & (openid_trips.c.expires_at > now)
        with self._database.writing() as connection:
            row = connection.execute(delete(openid_trips).where(mine).returning(openid_trips)).first()
        return None if row is None else Trip(row.nonce, row.verifier, row.address)
