"""Has the broker forget what it retains of devices that were removed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from contracts.topics import of_device
from fleet.errors.server import LinkDownError, MessagesRefusedError

RETAINED = ("desired", "birth", "reported")

log = logging.getLogger("fleet.farewells")


class Departures(Protocol):
    """Devices that were removed."""

    def uncleared(self) -> Sequence[str]:
        """Return the devices of whom the broker may retain something."""

    def cleared(self, names: Sequence[str]) -> None:
        """Note that the broker retains nothing of them."""


class Link(Protocol):
    """The broker."""

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        """Publish and wait for the acknowledgement; raise LinkDownError."""


class Farewells:
    """To be said once a device's connections have ended: what it said last must not come back."""

    def __init__(self, departures: Departures, link: Link) -> None:
        """Nothing is said before `turn`."""
        self._departures = departures
        self._link = link

    def turn(self) -> None:
        """Clear what is retained; what fails is tried again at the next call."""
        gone = self._departures.uncleared()
        if not gone:
            return
        try:
            self._link.publish([(of_device(device, leaf), b"") for device in gone for leaf in RETAINED], retain=True)
        except MessagesRefusedError as error:
            log.warning("%s", error)
            gone = [device for device in gone if not any(of_device(device, leaf) in error.reasons for leaf in RETAINED)]
        except LinkDownError as error:
            log.warning("%s", error)
            return
        self._departures.cleared(gone)
