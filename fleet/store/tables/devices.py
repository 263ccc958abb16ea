"""The tables of devices, how they were let in, and what people wish of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from fleet.store.tables.columns import Stamp, metadata

devices = Table(
    "devices",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("hardware", String(64), nullable=False),
    Column("labels", Text, nullable=False),
    Column("added_at", Stamp, nullable=False),
    Column("last_seen", Stamp),
    # Turned out since then; None for a device in good standing.
    Column("revoked_at", Stamp),
)

# Every certificate that a device may still show, and those that it may no longer, until they end by themselves.
certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("device", String(64), nullable=False, index=True),
    Column("key_sha256", String(64), nullable=False),
    # Digest of the enrolment token's secret; None for a renewal.
    Column("token_sha256", String(64)),
    Column("pem", Text, nullable=False),
    Column("issued_at", Stamp, nullable=False),
    Column("expires_at", Stamp, nullable=False),
    Column("revoked_at", Stamp),
)

# Devices that were removed. Their names may come back, and then their wishes have to count on.
departures = Table(
    "departures",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    # By the name of his token.
    Column("removed_by", String(64), nullable=False),
    Column("at", Stamp, nullable=False),
    # Whether the broker retains nothing of it any more.
    Column("cleared", Integer, nullable=False),
)

enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    Column("sha256", String(64), primary_key=True),
    # The one device it is for; None leaves the name to the machine.
    Column("device", String(64)),
    Column("hardware", String(64), nullable=False),
    Column("labels", Text, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("expires_at", Stamp, nullable=False),
)

# Named sets of devices: a list of ids, or else whoever a query means.
device_groups = Table(
    "device_groups",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("query", Text),
    Column("devices", Text),
)

# Every revision of each device's settings, and who made it.
configurations = Table(
    "configurations",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("settings", Text, nullable=False),
    # By the name of his token.
    Column("author", String(64), nullable=False),
    Column("at", Stamp, nullable=False),
)

# The newest signed wish of each device; one that is not yet with the broker is not `published`.
wishes = Table(
    "desired",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("issued_at", Stamp, nullable=False),
    Column("expires_at", Stamp, nullable=False),
    Column("models", Text, nullable=False),
    # None: the device is left as agent.toml says.
    Column("configuration", Text),
    # Candidates by model, with their terms; None: nothing runs beside what serves.
    Column("shadow", Text),
    Column("envelope", LargeBinary, nullable=False),
    Column("published", Integer, nullable=False),
)

# What people asked of devices beside their work, and what came of it.
commands = Table(
    "commands",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("device", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("order", Text, nullable=False),
    # By the name of his token.
    Column("asker", String(64), nullable=False),
    Column("issued_at", Stamp, nullable=False),
    Column("expires_at", Stamp, nullable=False),
    # When the broker had it last; None before the first time.
    Column("sent_at", Stamp),
    # What the device said last; None before its first word.
    Column("said", String(16)),
    Column("reason", Text, nullable=False),
    Column("findings", Text),
    Column("answered_at", Stamp),
    Index("commands_by_device_and_time", "device", "issued_at"),
    # What is to be told is looked for several times a second.
    Index("commands_by_word_and_end", "said", "expires_at"),
)
