"""Answers devices that ask the broker for their next certificate; the broker vouches for who asks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from contracts import codec
from contracts.downlinks import Renewed
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES, Renew
from contracts.topics import of_device, of_every_device, parse_uplink
from fleet.core.enrolment import Issued
from fleet.errors import FleetError
from fleet.errors.server import LinkDownError
from fleet.errors.store import StoreError
from fleet.south.mqtt import Received
from fleet.south.poison import Poison

TOPICS = (of_every_device("renew"),)
PATIENCE_S = 0.5
BATCH_MESSAGES = 50

log = logging.getLogger("fleet.renewals")


class Link(Protocol):
    """Where requests come from and answers go."""

    def take(self, limit: int, timeout_s: float) -> list[Received]:
        """Return what arrived."""

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        """Publish; raise LinkDownError."""


class Enrolment(Protocol):
    """Who decides."""

    def renew(self, device: str, csr: str, believed: str | None, now: datetime) -> Issued:
        """Give a device its next certificate, by the newest root that it believes; raise FleetError."""


class Renewals:
    """A loop of its own; `now` gives aware UTC."""

    def __init__(self, link: Link, enrolment: Enrolment, now: Callable[[], datetime]) -> None:
        """Nothing is read before `turn`."""
        self._link = link
        self._enrolment = enrolment
        self._now = now
        self._poison = Poison(log)

    def turn(self) -> None:
        """Answer what arrived; an answer that is lost is asked for again."""
        for received in self._link.take(BATCH_MESSAGES, PATIENCE_S):
            uplink = parse_uplink(received.topic)
            if uplink is None:
                continue
            try:
                asked = codec.decode(Renew, received.payload, name=received.topic, max_bytes=MAX_MESSAGE_BYTES)
            except ContractError as error:
                self._poison.add(received.topic, str(error))
                continue
            answer = codec.encode(self._answer(uplink.device, asked))
            try:
                self._link.publish([(of_device(uplink.device, "certificate"), answer)], retain=False)
            except LinkDownError as error:
                log.warning("%s", error)

    def _answer(self, device: str, asked: Renew) -> Renewed:
        try:
            return Renewed(certificate=self._enrolment.renew(device, asked.csr, asked.authority, self._now()).pem)
        except StoreError:
            raise  # our own trouble: the device asks again
        except FleetError as error:
            self._poison.add(device, f"no new certificate: {error}")
            return Renewed(refusal=str(error))
