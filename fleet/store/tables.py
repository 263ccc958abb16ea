"""The database's tables; migrations/ brings an older file to this shape."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Stamp(TypeDecorator[datetime]):
    """An aware time, stored as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        """Write."""
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, _dialect: Dialect) -> datetime | None:
        """Read."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Words(TypeDecorator[str]):
    """What somebody said; PostgreSQL keeps no NUL, so that neither database shall."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Write."""
        return None if value is None else value.replace("\0", "\ufffd")


metadata = MetaData()

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

# The newest birth, reported and health of each device, as it was sent.
reports = Table(
    "reports",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("leaf", String(16), primary_key=True),
    Column("session", String(16), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("sent_at", Stamp, nullable=False),
    Column("received_at", Stamp, nullable=False),
    Column("body", Text, nullable=False),
    # Who follows the fleet reads what came since he last looked.
    Index("reports_by_arrival", "leaf", "received_at"),
)


def _series(name: str, *columns: Column[object]) -> Table:
    """Declare a time series: a message that arrives twice has the same key twice."""
    return Table(
        name,
        metadata,
        Column("device", String(64), primary_key=True),
        Column("session", String(16), primary_key=True),
        Column("sequence", BigInteger, primary_key=True),
        Column("at", Stamp, nullable=False),
        *columns,
        Index(f"{name}_by_device_and_time", "device", "at"),
        Index(f"{name}_by_time", "at"),
    )


health_points = _series(
    "health_points",
    Column("cpu_percent", Float, nullable=False),
    Column("memory_percent", Float, nullable=False),
    Column("disk_percent", Float, nullable=False),
    Column("temperature_c", Float),
)

inference_windows = _series(
    "inference_windows",
    Column("model", String(64), nullable=False),
    Column("release", Integer, nullable=False),
    Column("window_s", Float, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("p50_ms", Float, nullable=False),
    Column("p95_ms", Float, nullable=False),
    Column("classes", Text, nullable=False),
    Column("provider", Words, nullable=False),
    # Empty for windows from before it was kept.
    Column("manifest_sha256", String(64), nullable=False),
    # A `Sketch`, where the device sent one.
    Column("latencies", Text),
    Column("ordinal", BigInteger),
    Column("parts", BigInteger),
    # Of the winning classes' scores, likewise.
    Column("confidences", Text),
)

# What candidates in shadow did; it came with windows of the release that serves, and has their keys.
shadow_windows = _series(
    "shadow_windows",
    Column("model", String(64), nullable=False),
    Column("manifest_sha256", String(64), nullable=False),
    Column("compared", BigInteger, nullable=False),
    Column("agreed", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("scored", BigInteger, nullable=False),
    Column("paused_s", Float, nullable=False),
    Column("shift", Float, nullable=False),
    Column("shift_squares", Float, nullable=False),
    Column("latencies", Text, nullable=False),
    Column("live_latencies", Text, nullable=False),
)

# The quantities of health that are summed up, and their columns in the points.
GAUGES = {"cpu": "cpu_percent", "memory": "memory_percent", "disk": "disk_percent", "temperature": "temperature_c"}


def _gauge(name: str) -> tuple[Column[object], ...]:
    kinds = {"count": BigInteger, "total": Float, "lowest": Float, "highest": Float}
    return tuple(Column(f"{name}_{part}", kind, nullable=part != "count") for part, kind in kinds.items())


# Points that grew old, summed up over `span_s` from `at` on.
health_buckets = Table(
    "health_buckets",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("span_s", Integer, primary_key=True),
    Column("at", Stamp, primary_key=True),
    *(column for name in GAUGES for column in _gauge(name)),
    Index("health_buckets_by_time", "span_s", "at"),
)

work_buckets = Table(
    "work_buckets",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("release", Integer, primary_key=True),
    Column("span_s", Integer, primary_key=True),
    Column("at", Stamp, primary_key=True),
    Column("window_s", Float, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("p50_total", Float, nullable=False),
    Column("p95_highest", Float, nullable=False),
    Column("provider", Words, nullable=False),
    Column("classes", Text, nullable=False),
    # Sketches of all the windows that sent them, merged; None where none did.
    Column("latencies", Text),
    Column("confidences", Text),
    Index("work_buckets_by_time", "span_s", "at"),
    Index("work_buckets_by_device_and_time", "device", "at"),
)

# At which number a worker's counter of restarts stood, and when it was seen there first and last; each session counts from 0.
restart_counts = Table(
    "restart_counts",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("session", String(16), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("restarts", BigInteger, primary_key=True),
    Column("first_at", Stamp, nullable=False),
    Column("last_at", Stamp, nullable=False),
    Index("restart_counts_by_time", "last_at"),
)

events = _series(
    "events",
    Column("kind", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("model", String(64)),
    Column("text", Words, nullable=False),
    Column("facts", Text, nullable=False),
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

# Which numbers of a session came: those of all messages under no model, those of windows under theirs.
tallies = Table(
    "tallies",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("session", String(16), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("newest", BigInteger, nullable=False),
    # Ranges, such as `3,7-9`.
    Column("missing", Text, nullable=False),
    Column("forgotten", BigInteger, nullable=False),
    Column("merged", BigInteger, nullable=False),
    Column("heard_at", Stamp, nullable=False),
    Index("tallies_by_time", "heard_at"),
)

# The newest messages that made no sense, with their first bytes.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device", String(64), nullable=False),
    Column("leaf", String(16), nullable=False),
    Column("at", Stamp, nullable=False),
    Column("reason", Words, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Index("quarantine_by_device", "device", "id"),
)

# Named sets of devices: a list of ids, or else whoever a query means.
device_groups = Table(
    "device_groups",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("query", Text),
    Column("devices", Text),
)

releases = Table(
    "releases",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("release", Integer, primary_key=True),
    Column("manifest_sha256", String(64), nullable=False),
    Column("targets", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("drops", Text, nullable=False),
    Column("added_at", Stamp, nullable=False),
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
    Column("envelope", LargeBinary, nullable=False),
    Column("published", Integer, nullable=False),
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

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("release", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("origin", Integer),
    Column("state", String(16), nullable=False),
    Column("state_reason", Words, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("proven", Integer, nullable=False),
    Column("settled_at", Stamp),
    Column("verdict", Text),
    Column("started_by", String(64), nullable=False),
    Column("started_at", Stamp, nullable=False),
    # None while it is followed.
    Column("ended_at", Stamp, index=True),
    Column("revision", Integer, nullable=False),
)

rollout_devices = Table(
    "rollout_devices",
    metadata,
    Column("rollout", Integer, primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("zone", String(64), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("reason", Words, nullable=False),
    Column("progress", Float, nullable=False),
    Column("baseline", Text),
    Column("target", Text),
    Column("errand", String(8), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("offered_at", Stamp),
    Column("met_at", Stamp),
    Column("outcome_at", Stamp),
    Column("is_missing", Boolean, nullable=False),
    Column("is_shadow", Boolean, nullable=False),
    Column("earlier_outcome_at", Stamp),
    Index("rollout_devices_by_position", "rollout", "position"),
)

# Who did what to a rollout, and what the fleet did by itself.
rollout_history = Table(
    "rollout_history",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rollout", Integer, nullable=False, index=True),
    Column("at", Stamp, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("act", String(16), nullable=False),
    Column("text", Words, nullable=False),
)

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

# Servers that share what devices say.
replicas = Table(
    "replicas",
    metadata,
    Column("name", Text, primary_key=True),
    # When it last told that it hears: seconds since 1970 by the database's clock, because those of the servers may differ.
    Column("seen_s", Float, nullable=False),
)
