"""Touches the fleet's line for what devices say: nothing is acknowledged before it is kept, or read before there is room for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from contracts import mqtt
from contracts.errors import MalformedPacketError
from contracts.mqtt_reasons import FAILURE, words
from contracts.mqtt_stream import Delivery
from fleet.south.mosquitto_conf import MAX_PACKET_BYTES
from fleet.south.mqtt import SESSION_EXPIRY_S, Login
from fleet.south.uplink_wire import KEEPALIVE_S, Wire

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
# The broker sends no more ahead of our acknowledgements; beyond it, it queues.
RECEIVE_MAXIMUM = 16_000
# So many bytes of messages are taken at once.
MAX_TAKEN_BYTES = 8 << 20
# Every replica is one of this group: the broker gives each message to one of them.
GROUP = "ingest"

log = logging.getLogger("fleet.uplink")


class UplinkLine:
    """A line that connects, and connects again, whenever it is asked for what arrived; for one thread.

    Its session outlives it at the broker, so that what devices say meanwhile waits there.
    """

    def __init__(self, login: Login, filters: Sequence[str], replica: str = "", *, is_heir: bool = False) -> None:
        """Prepare; nothing is sent before `take`. A named `replica` shares the messages with all others that are named.

        An heir takes the place of one that is gone: it asks for no new messages, only for those that wait.
        """
        self._login = login
        self._name = f"fleet-uplink-{replica}" if replica else "fleet-uplink"
        asked = [f"$share/{GROUP}/{each}" for each in filters] if replica else list(filters)
        self._request = mqtt.unsubscribe(mqtt.MAX_PACKET_ID, asked) if is_heir else mqtt.subscribe(mqtt.MAX_PACKET_ID, asked, again=True)
        self._wire: Wire | None = None
        self._unsettled: list[int] = []
        self._pause_s = FIRST_PAUSE_S
        self._next_try_s = 0.0
        self._subscriptions = 0
        self._news_s = 0.0

    @property
    def subscriptions(self) -> int:
        """Return how often the broker confirmed what we asked for; when it grows, the broker may have learned it just now."""
        return self._subscriptions

    @property
    def is_up(self) -> bool:
        """Say whether the broker is there."""
        return self._wire is not None

    @property
    def quiet_s(self) -> float:
        """Return for how long the broker has had nothing for us; 0 while it is not there or something is not settled."""
        return 0.0 if self._wire is None or self._unsettled else time.monotonic() - self._news_s

    def open(self) -> None:
        """Nothing: it connects when it is asked for what arrived."""

    def take(self, limit: int, timeout_s: float, linger_s: float = 0.0) -> list[Delivery]:
        """Return what arrived, waiting `timeout_s` for the first message and then `linger_s` for more, until there are about `limit`."""
        until_s = time.monotonic() + timeout_s
        taken: list[Delivery] = []
        room = MAX_TAKEN_BYTES
        try:
            wire = self._wire or self._connect(timeout_s)
            while wire is not None and len(taken) < limit and room > 0:
                came = wire.read(until_s - time.monotonic())
                if came is None:
                    break
                if came.deliveries and not taken:
                    until_s = time.monotonic() + linger_s
                taken += came.deliveries
                self._unsettled += [packet_id for _, _, packet_id in came.deliveries if packet_id]
                room -= came.size
                for packet in came.others:
                    self._hear(packet)
        except (OSError, MalformedPacketError) as error:
            self._lose(str(error))
        if taken:
            self._news_s = time.monotonic()
        return taken

    def settle(self) -> None:
        """Acknowledge all that was taken; what a lost connection brought comes again."""
        if self._wire is None or not self._unsettled:
            return
        try:
            self._wire.write(mqtt.acknowledge_all(self._unsettled))
        except OSError as error:
            self._lose(str(error))
        self._unsettled.clear()

    def close(self) -> None:
        """Disconnect, and leave the session at the broker; `take` may follow."""
        self._part(mqtt.DISCONNECT)

    def end(self) -> None:
        """Disconnect, and have the broker forget the session with all that waits in it."""
        self._part(mqtt.DISCONNECT_FOR_GOOD)

    def _part(self, farewell: bytes) -> None:
        if self._wire is not None:
            try:
                self._wire.write(farewell)
            except OSError as error:
                log.debug("no farewell: %s", error)
            self._wire.close()
            self._wire = None
        self._unsettled.clear()

    def _connect(self, timeout_s: float) -> Wire | None:
        pause_s = self._next_try_s - time.monotonic()
        if pause_s > 0:
            time.sleep(min(pause_s, timeout_s))
            return None
        # All that the broker lets in: what is too large for a message is refused with its reason here, not dropped in silence there.
        hello = mqtt.Hello(
            self._login.client_id(self._name), KEEPALIVE_S, RECEIVE_MAXIMUM, MAX_PACKET_BYTES, session_expiry_s=SESSION_EXPIRY_S
        )
        self._wire = Wire(self._login, hello)
        self._wire.write(self._request)
        self._news_s = time.monotonic()
        self._pause_s = FIRST_PAUSE_S
        return self._wire

    def _hear(self, packet: mqtt.Packet) -> None:
        if isinstance(packet, mqtt.Farewell):
            raise ConnectionResetError(f"ended by the broker with reason {packet.reason:#04x}")
        if isinstance(packet, mqtt.Acknowledgement):
            refused = [reason for reason in packet.reasons if reason >= FAILURE]
            if refused:
                raise ConnectionRefusedError(f"the broker refused what we asked for: {words(refused[0])}")
            self._subscriptions += 1

    def _lose(self, reason: str) -> None:
        log.warning("broker link lost, next try in %.1f s: %s", self._pause_s, reason)
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self._unsettled.clear()
        self._next_try_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
