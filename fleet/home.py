"""Where a fleet server keeps everything: one folder, of one server or of several that agree to share it, readable by its owner alone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.errors.server import FolderInUseError, UnusableFolderError

FOLDER_VARIABLE = "FIELDFARE_DIR"


def default_folder() -> Path:
    """Return FIELDFARE_DIR, or the usual place for a user's data."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".local" / "share" / "fieldfare"


class Home:
    """The folder's layout."""

    def __init__(self, folder: Path) -> None:
        """Name the places; nothing is created yet."""
        self.folder = folder.expanduser().resolve()
        self.database = self.folder / "fleet.db"
        self.artifacts = self.folder / "artifacts"
        self.trust = self.folder / "trust"
        self.trust_change = self.folder / "trust-change.json"
        self.keys = self.folder / "keys"
        self.authority = self.folder / "authority"
        self.broker = self.folder / "broker"
        self.simulation = self.folder / "simulation.sock"
        self.connection = self.folder / "connection.json"
        self.mosquitto_sub = self.folder / "mosquitto_sub"
        self.session_secret = self.folder / "session.secret"

    @property
    def release_key(self) -> Path:
        """Where a new fleet's offline release key lies until it is moved away."""
        return self.keys / "offline" / "targets.pem"

    @contextmanager
    def locked(self, *, is_shared: bool = False) -> Iterator[None]:
        """Create the folder and hold it, alone or with others that share it; raise FolderInUseError or UnusableFolderError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise UnusableFolderError(str(self.folder), error.strerror or str(error)) from error
        with lock:
            try:
                fcntl.flock(lock, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderInUseError(str(self.folder)) from error
            yield
