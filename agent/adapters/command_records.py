"""Touches the folder in which the device keeps a file for each command whose result has not arrived yet."""

from __future__ import annotations

from pathlib import Path

from agent.adapters import disk
from agent.core.command_record import MAX_RECORD_BYTES, CommandRecord
from agent.core.waiting_results import MAX_RESULTS
from contracts import codec
from contracts.errors import ContractError
from contracts.small_files import read_bounded


class CommandRecords:
    """Commands under way and results that wait, on the disk."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made when something is kept."""
        self._folder = folder

    def load(self) -> list[CommandRecord]:
        """Return the newest ones, oldest first; what cannot be read, or is too much, is removed. Raise StateError."""
        with disk.state_at(self._folder):
            paths = self._folder.iterdir() if self._folder.is_dir() else ()
            found = sorted(filter(None, map(_read, paths)), key=lambda record: record.until)
            for record in found[:-MAX_RESULTS]:
                self._path(record.command.id).unlink(missing_ok=True)
        return found[-MAX_RESULTS:]

    def keep(self, record: CommandRecord) -> None:
        """Survive a power cut with this; raise StateError."""
        with disk.state_at(self._folder):
            disk.make_folder(self._folder)
            disk.write_whole(self._path(record.command.id), codec.encode(record), mode=0o600)

    def drop(self, command: str) -> None:
        """Forget a command, if it is kept; raise StateError."""
        with disk.state_at(self._folder):
            self._path(command).unlink(missing_ok=True)

    def _path(self, command: str) -> Path:
        return self._folder / f"{command}.json"


def _read(path: Path) -> CommandRecord | None:
    try:
        raw = read_bounded(path, MAX_RECORD_BYTES)
        return codec.decode(CommandRecord, raw, name=path.name, max_bytes=MAX_RECORD_BYTES)
    except ContractError:
        path.unlink(missing_ok=True)
        return None
