"""Decides how long a device waits before it connects again, so that ten thousand of them do not crush a broker that comes back.

All waits are counted in keepalives: who runs a large fleet sets a long one, and so says how fast the broker may be asked for everything.
"""

from __future__ import annotations

from enum import Enum

from agent.core.backoff import delay_s

# No two attempts of one device lie closer together.
FLOOR_KEEPALIVES = 1 / 30
LONGEST_KEEPALIVES = 20.0
BUSY_KEEPALIVES = 4.0
OWN_KEEPALIVES = 0.25


class Loss(Enum):
    """Whom the loss of a connection concerns, as far as a device can tell."""

    # The broker restarts, or the network is gone: many may see it at once.
    SHARED = "shared"
    # This connection alone was ended, for a reason of its own.
    OWN = "own"
    # The broker says that it is asked for too much.
    BUSY = "busy"


# Reason codes of CONNACK and DISCONNECT: OASIS MQTT 5.0, sections 3.2.2.2 and 3.14.2.1.
_BUSY = frozenset({0x88, 0x89, 0x96, 0x97, 0x9F})
_OWN = frozenset({0x8D, 0x8E, 0x95, 0x98})


def loss_of(reason_code: int | None) -> Loss:
    """Return what a broker's reason code says; None is a connection that was cut, or never made."""
    if reason_code in _BUSY:
        return Loss.BUSY
    return Loss.OWN if reason_code in _OWN else Loss.SHARED


def wait_s(loss: Loss, failures: int, chance: float, keepalive_s: float) -> float:
    """Return the wait after so many failures in a row; `chance` in 0..1 spreads a fleet evenly from the floor to a ceiling that doubles.

    The first ceiling is one keepalive, within which all that saw a restart come back; a quarter for a loss that is ours alone. Who was
    told that the broker is busy stays away for a whole keepalive at least, and up to four more.
    """
    first = {Loss.SHARED: 1.0, Loss.OWN: OWN_KEEPALIVES, Loss.BUSY: BUSY_KEEPALIVES}[loss]
    floor = 1.0 if loss is Loss.BUSY else FLOOR_KEEPALIVES
    ceiling = delay_s(failures, 1.0, first_s=first * keepalive_s, longest_s=LONGEST_KEEPALIVES * keepalive_s)
    return floor * keepalive_s + chance * ceiling
