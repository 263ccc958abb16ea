"""Touches the file in which the agent shows how it is."""

from __future__ import annotations

import logging
from pathlib import Path

from agent.core.status import MAX_STATUS_BYTES, Status, status_file
from contracts import codec
from contracts.errors import ContractError
from contracts.small_files import read_bounded

log = logging.getLogger(__name__)


class StatusFile:
    """The status of the agent with one state folder."""

    def __init__(self, state_dir: Path) -> None:
        """Use the place that belongs to `state_dir`."""
        self.path = Path(status_file(state_dir))

    def show(self, status: Status) -> None:
        """Replace the file in one step. It need not survive a power cut, so it is not forced to the disk."""
        beside = self.path.with_name(".status.json.new")
        try:
            self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            beside.write_bytes(codec.encode(status))
            beside.chmod(0o644)
            beside.replace(self.path)
        except OSError as error:
            log.warning("%s: %s", self.path, error.strerror or repr(error))

    def read(self) -> Status | None:
        """Return what was shown last; None when nothing can be read."""
        try:
            return codec.decode(Status, read_bounded(self.path, MAX_STATUS_BYTES), name=str(self.path), max_bytes=MAX_STATUS_BYTES)
        except (ContractError, OSError):
            return None
