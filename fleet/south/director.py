"""Tells each device what it shall run: signs its wish, keeps it, publishes it, and renews it in time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from contracts.configuration import Configuration
from contracts.downlinks import Desired, ShadowWish
from contracts.messages import ReleaseRef
from contracts.topics import of_device
from fleet.core.wishes import LIFETIME, first_wish, reissued, renewed, with_configuration, with_release, with_shadow
from fleet.errors.server import LinkDownError, MessagesRefusedError

BATCH_WISHES = 200

# Of a device, from the settings that were wished last to those that shall be, None leaving them.
Decide = Callable[[str, Configuration | None], Configuration | None]
# By device.
Note = Callable[[Mapping[str, Configuration]], None]

log = logging.getLogger("fleet.director")


class SignedWish(Protocol):
    """A wish, and the envelope that carries it."""

    @property
    def wish(self) -> Desired:
        """What is wished."""

    @property
    def envelope(self) -> bytes:
        """The signed document."""


class Wishes(Protocol):
    """The newest wish of each device, and whether the broker has it."""

    def get(self, device: str) -> Desired | None:
        """Return a device's newest wish."""

    def of(self, devices: Sequence[str]) -> dict[str, Desired]:
        """Return the newest wishes of some devices."""

    def floors(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the generation that each of these names had come to when its device was removed."""

    def put_all(self, wishes: Sequence[tuple[Desired, bytes]]) -> None:
        """Keep wishes in the place of their devices' older ones, not yet published; none for devices that were removed."""

    def unpublished(self, limit: int) -> Sequence[SignedWish]:
        """Return wishes that the broker may not have."""

    def published(self, wishes: Sequence[Desired]) -> None:
        """Note that the broker has them."""

    def publish_all_again(self) -> None:
        """Note that the broker may have lost every wish."""

    def issued_before(self, moment: datetime) -> Sequence[Desired]:
        """Return wishes that were issued before a moment."""


class Signer(Protocol):
    """The director's key."""

    def sign(self, wish: Desired) -> bytes:
        """Return the envelope as JSON."""


class Link(Protocol):
    """The broker."""

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        """Publish and wait for the acknowledgement; raise LinkDownError."""


class Director:
    """The one voice that devices obey, within what the release key signed."""

    def __init__(self, wishes: Wishes, signer: Signer, link: Link) -> None:
        """Keep wishes in `wishes`."""
        self._wishes = wishes
        self._signer = signer
        self._link = link
        self._lock = threading.Lock()
        # Topics of wishes that the broker does not take for now; they keep no other wish from being told.
        self._refused: frozenset[str] = frozenset()

    def welcome(self, device: str, now: datetime) -> None:
        """Wish nothing yet of a new device."""
        with self._lock:
            if self._wishes.get(device) is None:
                self._put(self._first([device], now).values())

    def wish_all(self, model: str, wanted: Mapping[str, ReleaseRef | None], now: datetime) -> dict[str, int]:
        """Wish each device a release of a model, or none, and return the generations; the same wish again changes nothing."""
        with self._lock:
            old = self._wishes.of(tuple(wanted))
            known = self._first(wanted.keys() - old.keys(), now) | old
            new = {device: with_release(known[device], model, release, now) for device, release in wanted.items()}
            self._put([wish for device, wish in new.items() if wish != old.get(device)])
            return {device: wish.generation for device, wish in new.items()}

    def shadow_all(self, model: str, wanted: Mapping[str, ShadowWish], now: datetime) -> dict[str, int]:
        """Wish that each device runs a release beside what serves, and return the generations; the same wish again changes nothing."""
        with self._lock:
            old = self._wishes.of(tuple(wanted))
            new = {device: with_shadow(old.get(device) or first_wish(device, now), model, shadow, now) for device, shadow in wanted.items()}
            self._put([wish for device, wish in new.items() if wish != old.get(device)])
            return {device: wish.generation for device, wish in new.items()}

    def configure_all(self, devices: Sequence[str], decide: Decide, note: Note, now: datetime) -> None:
        """Wish the settings that follow from those wished last; `note` keeps them first, and may be given the same ones twice."""
        with self._lock:
            old = self._first(devices, now) | self._wishes.of(devices)
            wanted = {device: decide(device, wish.configuration) for device, wish in old.items()}
            made = {device: configuration for device, configuration in wanted.items() if configuration is not None}
            note(made)
            self._put([with_configuration(old[device], configuration, now) for device, configuration in made.items()])

    def renew(self, now: datetime) -> None:
        """Sign wishes anew long before they end."""
        with self._lock:
            self._put([renewed(wish, now) for wish in self._wishes.issued_before(now - LIFETIME / 2)])

    def sign_all_again(self, now: datetime) -> None:
        """Sign every wish with the key that devices trust from now on."""
        with self._lock:
            self._put([reissued(wish, now) for wish in self._wishes.issued_before(now)])

    def publish(self) -> None:
        """Bring the broker what it does not have; what fails is tried again at the next call."""
        batch = self._wishes.unpublished(BATCH_WISHES + len(self._refused))
        messages = {of_device(signed.wish.device, "desired"): signed for signed in batch}
        try:
            self._link.publish([(topic, signed.envelope) for topic, signed in messages.items()], retain=True)
            self._refused = frozenset()
        except MessagesRefusedError as error:
            if error.is_news:
                log.warning("%s", error)
            self._refused = frozenset(error.reasons)
        except LinkDownError as error:
            log.warning("%s", error)
            return
        self._wishes.published([signed.wish for topic, signed in messages.items() if topic not in self._refused])

    def publish_all_again(self) -> None:
        """After a loss of the broker, take it for empty."""
        self._wishes.publish_all_again()

    def _first(self, devices: Collection[str], now: datetime) -> dict[str, Desired]:
        floors = self._wishes.floors(devices)
        return {device: first_wish(device, now, floors.get(device, 0)) for device in devices}

    def _put(self, wishes: Iterable[Desired]) -> None:
        self._wishes.put_all([(wish, self._signer.sign(wish)) for wish in wishes])
