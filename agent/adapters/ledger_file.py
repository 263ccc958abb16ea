"""Touches the file in which the device remembers the commands that it obeyed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from agent.adapters import disk
from agent.core.command_ledger import CommandLedger
from contracts import codec
from contracts.errors import ContractError
from contracts.small_files import read_bounded

MAX_BYTES = 64 * 1024


class LedgerFile:
    """Commands that were obeyed, on the disk."""

    def __init__(self, folder: Path) -> None:
        """Live in the state folder."""
        self._path = folder / "commands.json"

    def load(self, now: datetime) -> CommandLedger:
        """Return what was kept last; when it cannot be read, one that trusts nothing issued before now."""
        try:
            if not self._path.exists():
                return CommandLedger()
            return codec.decode(CommandLedger, read_bounded(self._path, MAX_BYTES), name=self._path.name, max_bytes=MAX_BYTES)
        except (ContractError, OSError):
            return CommandLedger().closed_until(now)

    def keep(self, ledger: CommandLedger) -> None:
        """Survive a power cut with this in mind; raise StateError."""
        with disk.state_at(self._path):
            disk.write_whole(self._path, codec.encode(ledger))
