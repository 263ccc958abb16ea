"""Keeps the enrolment tokens that were given out, as digests only, and every device certificate until it ends."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, union, update

from fleet.acting import concerning
from fleet.core.devices import Device
from fleet.core.enrolment import Grant, Issued, Standing
from fleet.errors.devices import UnknownDeviceError
from fleet.store.database import Database
from fleet.store.rows import TEXT_BY_NAME
from fleet.store.tables import certificates, departures, devices, enrolment_tokens
from fleet.store.upsert import put

# So long a token that has ended is still told apart from one that never was.
REMEMBERED = timedelta(days=30)


class CredentialStore:
    """Tokens are 256 random bits: nobody finds one by trying, so that a plain digest keeps them and slow hashing would add nothing."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def give_out(self, secret: str, grant: Grant) -> None:
        """Let machines in by a token from now on."""
        row = {
            "sha256": digest(secret),
            "device": grant.device,
            "hardware": grant.hardware,
            "labels": json.dumps(dict(grant.labels), sort_keys=True),
            "uses_left": grant.uses_left,
            "expires_at": grant.expires_at,
        }
        with self._database.writing() as connection:
            connection.execute(enrolment_tokens.insert().values(row))

    def grant(self, secret: str) -> Grant | None:
        """Return what a token allows; None when it was never given out."""
        with self._database.reading() as connection:
            row = connection.execute(select(enrolment_tokens).where(enrolment_tokens.c.sha256 == digest(secret))).first()
        if row is None:
            return None
        return Grant(row.device, row.hardware, TEXT_BY_NAME.validate_json(row.labels), row.uses_left, row.expires_at)

    def admit(self, device: Device, secret: str, issued: Issued) -> None:
        """Keep a device, its first certificate and one use less of its token: all of it or nothing."""
        facts = {
            "hardware": device.hardware,
            "labels": json.dumps(dict(device.labels), sort_keys=True),
            "added_at": device.added_at,
            "revoked_at": None,
        }
        used = update(enrolment_tokens).where(enrolment_tokens.c.sha256 == digest(secret))
        concerning(device.id)
        with self._database.writing() as connection:
            put(connection, devices, {"id": device.id, **facts})
            _add(connection, device.id, issued, digest(secret))
            connection.execute(used.values(uses_left=enrolment_tokens.c.uses_left - 1))

    def add(self, device: str, issued: Issued) -> None:
        """Keep a renewed certificate."""
        with self._database.writing() as connection:
            _add(connection, device, issued, None)

    def issued(self, device: str, key_sha256: str, secret: str | None) -> Issued | None:
        """Return the good certificate that this key already got, by this token or else by renewal: an answer may have been lost."""
        token = None if secret is None else digest(secret)
        matches = (certificates.c.device == device) & (certificates.c.key_sha256 == key_sha256) & certificates.c.revoked_at.is_(None)
        with self._database.reading() as connection:
            row = connection.execute(select(certificates).where(matches & certificates.c.token_sha256.is_not_distinct_from(token))).first()
        return None if row is None else Issued(row.pem, row.serial, row.key_sha256, row.issued_at, row.expires_at)

    def standing(self, device: str, now: datetime) -> Standing | None:
        """Return how it stands with a device's certificates; one that was removed stands as revoked. None for a name nobody had."""
        living = (certificates.c.device == device) & (certificates.c.expires_at > now) & certificates.c.revoked_at.is_(None)
        with self._database.reading() as connection:
            row = connection.execute(select(devices.c.revoked_at).where(devices.c.id == device)).first()
            count = connection.execute(select(func.count()).select_from(certificates).where(living)).scalar_one()
            has_left = connection.execute(select(departures.c.device).where(departures.c.device == device)).first() is not None
        if row is None:
            return Standing(is_revoked=True, certificates=count) if has_left else None
        return Standing(row.revoked_at is not None, count)

    def is_good(self, device: str, serial: str, now: datetime) -> bool:
        """Say whether a device of the fleet has this certificate, and nobody revoked either."""
        mine = (certificates.c.device == device) & (certificates.c.serial == serial) & (certificates.c.expires_at > now)
        good = select(devices.c.id).join(certificates, certificates.c.device == devices.c.id)
        with self._database.reading() as connection:
            found = connection.execute(good.where(mine & certificates.c.revoked_at.is_(None) & devices.c.revoked_at.is_(None)))
            return found.first() is not None

    def revoke(self, device: str, now: datetime) -> None:
        """Turn a device out, with every certificate it has; raise UnknownDeviceError."""
        mine = (certificates.c.device == device) & certificates.c.revoked_at.is_(None)
        with self._database.writing() as connection:
            if connection.execute(update(devices).where(devices.c.id == device).values(revoked_at=now)).rowcount == 0:
                raise UnknownDeviceError(device)
            connection.execute(update(certificates).where(mine).values(revoked_at=now))

    def revoked(self) -> tuple[str, ...]:
        """Return the devices that were turned out, also those that were removed until their certificates end."""
        out = select(devices.c.id).where(devices.c.revoked_at.is_not(None))
        gone = select(certificates.c.device).where(certificates.c.device.not_in(select(devices.c.id)))
        with self._database.reading() as connection:
            return tuple(sorted(connection.execute(union(out, gone)).scalars()))

    def living(self, now: datetime) -> frozenset[str]:
        """Return the devices that have a good certificate."""
        good = (certificates.c.expires_at > now) & certificates.c.revoked_at.is_(None)
        with self._database.reading() as connection:
            return frozenset(connection.execute(select(certificates.c.device).where(good)).scalars())

    def revoked_serials(self, now: datetime) -> tuple[str, ...]:
        """Return the certificates that would still be good had nobody revoked them."""
        bad = certificates.c.revoked_at.is_not(None) & (certificates.c.expires_at > now)
        with self._database.reading() as connection:
            return tuple(connection.execute(select(certificates.c.serial).where(bad).order_by(certificates.c.serial)).scalars())

    def forget(self, now: datetime) -> None:
        """Drop certificates that have ended, and tokens that ended long ago."""
        with self._database.writing() as connection:
            connection.execute(delete(certificates).where(certificates.c.expires_at <= now))
            connection.execute(delete(enrolment_tokens).where(enrolment_tokens.c.expires_at <= now - REMEMBERED))


def digest(secret: str) -> str:
    """Return what is kept of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _add(connection: Connection, device: str, issued: Issued, token_sha256: str | None) -> None:
    row = {
        "serial": issued.serial,
        "device": device,
        "key_sha256": issued.key_sha256,
        "token_sha256": token_sha256,
        "pem": issued.pem,
        "issued_at": issued.issued_at,
        "expires_at": issued.expires_at,
    }
    connection.execute(certificates.insert().values(row))
