"""Touches the pictures that a worker takes when it is told to: each lies on the disk only until it is read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from agent.adapters import disk
from agent.errors import CommandError
from contracts.commands import MAX_JPEG_BYTES
from contracts.errors import ContractError
from contracts.small_files import read_bounded

JPEG_START = b"\xff\xd8\xff"


class Album:
    """A folder of the agent's own."""

    def __init__(self, folder: Path) -> None:
        """Begin with no pictures, whatever an agent that died left behind."""
        self._folder = folder
        with disk.state_at(folder):
            disk.make_folder(folder, 0o700)
            for leftover in folder.iterdir():
                leftover.unlink()

    def page(self, name: str) -> Path:
        """Return where a picture is to be put."""
        return self._folder / f"{name}.jpg"

    def take(self, name: str) -> bytes:
        """Return a picture and forget it; raise CommandError when it is none, or too large."""
        path = self.page(name)
        try:
            if path.is_symlink():
                raise CommandError(f"{path.name}: expected a picture, found a link")
            raw = read_bounded(path, MAX_JPEG_BYTES)
        except (ContractError, OSError) as error:
            raise CommandError(str(error)) from error
        finally:
            self.drop(name)
        if not raw.startswith(JPEG_START):
            raise CommandError(f"{path.name}: expected a JPEG, found {raw[:4].hex()}")
        return raw

    def drop(self, name: str) -> None:
        """Forget a picture, if there is one."""
        with suppress(OSError):
            self.page(name).unlink(missing_ok=True)
