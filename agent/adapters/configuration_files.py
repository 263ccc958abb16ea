"""Touches the folder in which a device keeps what its fleet has set: the machine's state, and each configuration under its digest."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.adapters import disk
from agent.core.configuring import BASE_REF, UNTOUCHED
from agent.core.update import Update
from contracts import codec
from contracts.configuration import BASE, Configuration
from contracts.errors import ContractError, MissingFileError
from contracts.messages import ReleaseRef
from contracts.small_files import read_bounded

MAX_MACHINE_BYTES = 64 * 1024
MAX_CONFIGURATION_BYTES = 256 * 1024
MACHINE = "update.json"

log = logging.getLogger(__name__)
_UPDATE: TypeAdapter[Update] = TypeAdapter(Update)


class ConfigurationFiles:
    """What survives a restart; what the disk refuses is a StateError."""

    def __init__(self, root: Path) -> None:
        """Keep everything in `configuration` below the state folder, which is made when something is kept."""
        self._folder = root / "configuration"

    def load(self) -> Update:
        """Return the machine; of a damaged one nothing but agent.toml, because the fleet's wish is heard again."""
        path = self._folder / MACHINE
        try:
            return _UPDATE.validate_json(read_bounded(path, MAX_MACHINE_BYTES))
        except MissingFileError:
            return UNTOUCHED
        except (ContractError, ValidationError, OSError) as error:
            log.warning("%s: %s; taken up from agent.toml", path, error)
            return UNTOUCHED

    def save(self, update: Update) -> None:
        """Remember the machine; raise StateError."""
        with disk.state_at(self._folder):
            disk.make_folder(self._folder)
            disk.write_whole(self._folder / MACHINE, _UPDATE.dump_json(update))

    def read(self, ref: ReleaseRef) -> Configuration | None:
        """Return a configuration; None when it is not here, or is not what its digest says."""
        if ref == BASE_REF:
            return BASE
        try:
            raw = read_bounded(self._path(ref.manifest_sha256), MAX_CONFIGURATION_BYTES)
            found = codec.decode(Configuration, raw, name="configuration", max_bytes=MAX_CONFIGURATION_BYTES)
        except (ContractError, OSError):
            return None
        return found if found.sha256 == ref.manifest_sha256 else None

    def put(self, configuration: Configuration) -> None:
        """Keep a configuration; raise StateError."""
        with disk.state_at(self._folder):
            disk.make_folder(self._folder)
            disk.write_whole(self._path(configuration.sha256), codec.encode(configuration))

    def collect(self, needed: Collection[str]) -> None:
        """Remove all configurations but those; what a process that died was writing goes too."""
        if not self._folder.is_dir():
            return
        with disk.state_at(self._folder):
            for path in self._folder.iterdir():
                if path.name != MACHINE and path.stem not in needed:
                    path.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"
