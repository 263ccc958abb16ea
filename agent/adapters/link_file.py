"""Touches the file in which a device remembers how its links to brokers are."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.adapters import disk
from agent.core.transfer import Link
from contracts.errors import ContractError
from contracts.small_files import read_bounded

MAX_FILE_BYTES = 64 * 1024
# A device that is carried about forgets the links it knew first.
MAX_LINKS = 16

log = logging.getLogger(__name__)
_LINKS: TypeAdapter[dict[str, Link]] = TypeAdapter(dict[str, Link])


class LinkFile:
    """What was measured of the link to one broker, beside those to others."""

    def __init__(self, path: Path, broker: str) -> None:
        """Use the file at `path`, which is made when needed; `broker` names the link."""
        self._path = path
        self._broker = broker

    def load(self) -> Link:
        """Return what was measured last; a file that cannot be read counts as empty."""
        return self._read().get(self._broker, Link())

    def save(self, link: Link) -> None:
        """Keep it; where the disk does not take it, the next run measures anew."""
        links = {name: known for name, known in self._read().items() if name != self._broker}
        kept = dict([*links.items(), (self._broker, link)][-MAX_LINKS:])
        if self._read() != kept:
            try:
                disk.write_whole(self._path, _LINKS.dump_json(kept))
            except OSError as error:
                log.warning("%s: %s", self._path, error.strerror or repr(error))

    def _read(self) -> dict[str, Link]:
        try:
            return _LINKS.validate_json(read_bounded(self._path, MAX_FILE_BYTES))
        except (ContractError, ValidationError, OSError):
            return {}
