"""Decides whether a message tells something new: brokers repeat, and a last will may arrive after the next birth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from contracts.messages import Birth, Message


class Heard(NamedTuple):
    """One message that passed validation."""

    device: str
    leaf: str
    message: Message
    received_at: datetime


class Refused(NamedTuple):
    """One message that did not, and its first bytes."""

    device: str
    leaf: str
    received_at: datetime
    reason: str
    size: int
    head: bytes


@dataclass(frozen=True)
class Stamped:
    """What identifies the newest message of a kind that is stored."""

    session: str
    sequence: int
    sent_at: datetime
    online: bool = True


def is_news(message: Message, stored: Stamped | None) -> bool:
    """Say whether `message` takes the place of the stored one of its kind."""
    if stored is None:
        return True
    if isinstance(message, Birth) and not message.online:
        return _is_will_of_now(message, stored)
    return message.session != stored.session or message.sequence > stored.sequence


def plausible_times(received_at: datetime, max_age: timedelta) -> Callable[[datetime], datetime]:
    """Return what tells when something was that arrived at one moment: the device's word, unless its clock cannot be right."""
    earliest = received_at - max_age
    return lambda sent_at: sent_at if earliest <= sent_at <= received_at else received_at


def _is_will_of_now(will: Birth, stored: Stamped) -> bool:
    """Tell the current session's will, which repeats its birth's sequence, from one that an older session left behind."""
    if will.session == stored.session:
        return stored.online or will.sequence > stored.sequence
    # A will carries the time of its birth: only a session that began later can have been missed.
    return will.sent_at > stored.sent_at
