"""Decides which of the servers that share the devices' messages are gone, so that the one that leads has to take in what waits for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# A server that hears the devices says so as often as this, and is taken for gone after five times of silence.
TELL_S = 2.0
SILENT_S = 10.0
# Longer than any broker keeps a session of ours (`mqtt.SESSION_EXPIRY_S`): whatever a broker that fell back remembers, is over by then.
FORGET_S = 24 * 3600.0
# A line that is up, and on which the broker answered pings, for so long without a message: nothing waits any more.
QUIET_S = 60.0


@dataclass(frozen=True)
class Replica:
    """One of several servers, and how long ago it last said that it hears."""

    name: str
    silent_s: float


def to_inherit(replicas: Iterable[Replica], own: str) -> frozenset[str]:
    """Return whose messages the leader, who goes by `own`, takes in now."""
    return frozenset(each.name for each in replicas if each.name != own and each.silent_s >= SILENT_S)


def is_settled(replica: Replica, quiet_s: float) -> bool:
    """Say whether a server that was inherited can be forgotten: it stayed away, and nothing came for it in `quiet_s`."""
    return replica.silent_s >= FORGET_S and quiet_s >= QUIET_S
