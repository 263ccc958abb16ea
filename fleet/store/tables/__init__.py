"""The database's tables; migrations/ brings an older file to this shape."""

from fleet.store.tables.access import audit, login_codes, login_failures, openid_trips, people, repeats, sessions, tokens
from fleet.store.tables.columns import EPOCH, Stamp, Words, metadata
from fleet.store.tables.devices import certificates, commands, configurations, departures, device_groups, devices, enrolment_tokens, wishes
from fleet.store.tables.rollouts import releases, rollout_devices, rollout_history, rollouts
from fleet.store.tables.servers import replicas
from fleet.store.tables.telemetry import (
    GAUGES,
    events,
    health_buckets,
    health_points,
    inference_windows,
    quarantine,
    reports,
    restart_counts,
    shadow_windows,
    tallies,
    work_buckets,
)

__all__ = [
    "EPOCH",
    "GAUGES",
    "Stamp",
    "Words",
    "audit",
    "certificates",
    "commands",
    "configurations",
    "departures",
    "device_groups",
    "devices",
    "enrolment_tokens",
    "events",
    "health_buckets",
    "health_points",
    "inference_windows",
    "login_codes",
    "login_failures",
    "metadata",
    "openid_trips",
    "people",
    "quarantine",
    "releases",
    "repeats",
    "replicas",
    "reports",
    "restart_counts",
    "rollout_devices",
    "rollout_history",
    "rollouts",
    "sessions",
    "shadow_windows",
    "tallies",
    "tokens",
    "wishes",
    "work_buckets",
]
