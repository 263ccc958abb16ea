"""What is remembered of one played device's connection."""

from __future__ import annotations

import socket

from contracts import mqtt
from fleet.simulate.device import Device, Say
from fleet.simulate.keeping import Kept


class Line:
    """One device's connection; a record, because there are many."""

    __slots__ = ("connect_s", "device", "held", "is_welcome", "kept", "packet_id", "pending", "reader", "socket", "unanswered")

    def __init__(self, device: Device) -> None:
        """Connected later."""
        self.device = device
        self.socket: socket.socket | None = None
        # Not before, in seconds since 1970.
        self.connect_s = 0.0
        # Only while a packet is in pieces; all others share one.
        self.reader: mqtt.Reader | None = None
        self.pending: bytes = b""
        self.held: Say | None = None
        self.packet_id = 0
        self.is_welcome = False
        # What was published and is not acknowledged, by its number; and what is to be said again. None while there is nothing.
        self.unanswered: dict[int, Say] | None = None
        self.kept: Kept | None = None
