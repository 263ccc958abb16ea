"""The tables of who may do what, who did it, and what was answered."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table

from fleet.store.tables.columns import Stamp, Words, metadata

# Secrets of people and programs, as digests of high-entropy values.
tokens = Table(
    "tokens",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("created_at", Stamp, nullable=False),
    # None: until it is revoked.
    Column("expires_at", Stamp),
)

# One-time links: whoever opens one enters as the token that asked for it.
login_codes = Table(
    "login_codes",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("token", String(64), nullable=False),
    Column("expires_at", Stamp, nullable=False),
)

# What requests with an idempotency key were answered, for a day.
repeats = Table(
    "repeats",
    metadata,
    # Digest of the token that asked.
    Column("owner", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("at", Stamp, nullable=False, index=True),
    # None while the request is under way.
    Column("status", Integer),
    Column("etag", String(160), nullable=False, server_default=""),
    # The answer, sealed with the token; None for one that is too large.
    Column("sealed", LargeBinary),
)

# People who sign in by a password.
people = Table(
    "people",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    # Parameters, salt and key of scrypt.
    Column("password", String(200), nullable=False),
    Column("added_at", Stamp, nullable=False),
    Column("changed_at", Stamp, nullable=False),
)

# Browsers that are signed in, by the digest of what their cookie holds.
sessions = Table(
    "sessions",
    metadata,
    Column("sha256", String(64), primary_key=True),
    # user, openid or token.
    Column("kind", String(8), nullable=False),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("opened_at", Stamp, nullable=False),
    Column("seen_at", Stamp, nullable=False),
    Column("ends_at", Stamp, nullable=False),
)

# Logins that failed, by address and by name, until they are forgotten.
login_failures = Table(
    "login_failures",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    # The next attempt counts from then on.
    Column("free_at", Stamp, nullable=False),
    Column("forgotten_at", Stamp, nullable=False, index=True),
)

# Who was sent to the identity provider and is to come back, by the digest of the state that comes with him.
openid_trips = Table(
    "openid_trips",
    metadata,
    Column("sha256", String(64), primary_key=True),
    # Digest of what the browser's cookie holds.
    Column("browser", String(64), nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("verifier", String(128), nullable=False),
    Column("address", String(512), nullable=False),
    Column("expires_at", Stamp, nullable=False),
)

# Who did what; triggers refuse to change or delete a row.
audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Stamp, nullable=False, index=True),
    Column("who", Words, nullable=False),
    Column("role", String(16), nullable=False),
    Column("source", String(80), nullable=False),
    Column("what", String(64), nullable=False),
    Column("subject", Words, nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("request", String(32), nullable=False),
    Column("detail", Words, nullable=False),
    # Covers this row and the digest of the one before.
    Column("sha256", String(64), nullable=False, unique=True),
)
