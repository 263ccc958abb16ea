"""Publishes the files of the TUF repository, retained, so that devices verify releases without any other server."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from contracts.topics import of_trust_file
from fleet.errors.server import LinkDownError, MessagesRefusedError
from fleet.south.director import Link

log = logging.getLogger("fleet.trust")


class Repository(Protocol):
    """The signed list of releases."""

    def read(self, name: str) -> bytes:
        """Return a file, without a version its newest one."""

    def published(self) -> Mapping[str, bytes]:
        """Return what devices read, in the order in which it must reach them."""

    def obsolete(self) -> Sequence[str]:
        """Return names that were published lately and must be cleared now."""


class TrustPublisher:
    """Keeps the broker's copy like the repository, which another server may change too."""

    def __init__(self, repository: Repository, link: Link) -> None:
        """Publish at the first `turn`."""
        self._repository = repository
        self._link = link
        self._is_stale = True
        self._newest = b""

    def changed(self) -> None:
        """Publish at the next `turn`: the repository changed, or the broker may have lost it."""
        self._is_stale = True

    def turn(self) -> None:
        """Publish if there is need; a failure is tried again at the next call."""
        newest = self._repository.read("timestamp.json")
        if not self._is_stale and newest == self._newest:
            return
        self._newest = newest
        self._is_stale = False
        files = self._repository.published()
        messages = [(of_trust_file(name), raw) for name, raw in files.items()]
        # An empty retained message removes the one before.
        messages += [(of_trust_file(name), b"") for name in self._repository.obsolete()]
        try:
            self._link.publish(messages, retain=True)
        except MessagesRefusedError as error:
            self._is_stale = True
            if error.is_news:
                log.warning("%s", error)
        except LinkDownError as error:
            self._is_stale = True
            log.warning("%s", error)
