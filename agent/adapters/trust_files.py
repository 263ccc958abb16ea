"""Touches what the broker says about trust: an untrusted mirror of bounded size, and the memory of what verified."""

from __future__ import annotations

import logging
from pathlib import Path

from agent.adapters import disk
from agent.core.memory import Memory
from contracts import codec
from contracts.errors import ContractError
from contracts.small_files import read_bounded
from contracts.topics import of_trust_file, parse_trust_file
from contracts.trust import MAX_ENVELOPE_BYTES, MAX_TRUST_FILE_BYTES

MAX_FILES = 128
MAX_MEMORY_BYTES = 16 * 1024

log = logging.getLogger(__name__)


class TrustFiles:
    """The files the verifier reads; what the disk refuses is a StateError."""

    def __init__(self, root: Path) -> None:
        """Make the folders below the state folder, and remove what a process that died was writing."""
        self.mirror_dir = root / "mirror"
        self.cache_dir = root / "trust"
        self.envelope_file = self.mirror_dir / "desired"
        self._memory_file = root / "memory.json"
        # What this process brought to the disk itself; of all else nobody knows whether an earlier one came to that.
        self._synced: set[Path] = set()
        with disk.state_at(root):
            for folder in (self.mirror_dir, self.cache_dir):
                disk.make_folder(folder)
        try:
            # The verifier's library writes beside, too, under names that begin with tmp.
            for leftover in (*self.mirror_dir.glob(".*.new"), *self.cache_dir.glob("tmp*"), *root.glob(".*.new")):
                leftover.unlink()
        except OSError as error:
            log.error("%s: what was left half done stays so for now: %s", root, error)

    def put(self, name: str, raw: bytes) -> bool:
        """Mirror a trust file, an empty one meaning that it was withdrawn; return whether anything changed."""
        if parse_trust_file(of_trust_file(name)) is None or len(raw) > MAX_TRUST_FILE_BYTES:
            return False
        path = self.mirror_dir / name
        with disk.state_at(path):
            if raw:
                self._make_room(name)
                return self._replace(path, raw)
            had = path.exists()
            path.unlink(missing_ok=True)
            return had

    def put_envelope(self, raw: bytes) -> bool:
        """Keep the newest desired message; return whether it is another one."""
        if not raw or len(raw) > MAX_ENVELOPE_BYTES:
            return False
        with disk.state_at(self.envelope_file):
            return self._replace(self.envelope_file, raw)

    def has_envelope(self) -> bool:
        """Say whether there is anything to verify."""
        return self.envelope_file.exists()

    def memory(self) -> Memory:
        """Return what was remembered last; nothing before the first verified wish."""
        try:
            return codec.decode(Memory, read_bounded(self._memory_file, MAX_MEMORY_BYTES), name="memory.json", max_bytes=MAX_MEMORY_BYTES)
        except (ContractError, OSError):
            return Memory()

    def remember(self, memory: Memory) -> None:
        """Survive a power cut with this in mind, and with the metadata by which it was judged."""
        with disk.state_at(self._memory_file):
            disk.sync_tree(self.cache_dir)
            self._replace(self._memory_file, codec.encode(memory))

    def _make_room(self, name: str) -> None:
        found = sorted(self.mirror_dir.glob("*.json"), key=lambda path: path.stat().st_mtime)
        if len(found) >= MAX_FILES and self.mirror_dir / name not in found:
            found[0].unlink()

    def _replace(self, path: Path, raw: bytes) -> bool:
        # Retained messages come again at every connect: unchanged ones must not wear the flash.
        is_same = _content(path, len(raw)) == raw
        if not is_same:
            self._synced.discard(path)
            disk.write_whole(path, raw)
        elif path not in self._synced:
            disk.sync_file(path)
            disk.sync_folder(path.parent)
        self._synced.add(path)
        return not is_same


def _content(path: Path, max_bytes: int) -> bytes | None:
    try:
        return read_bounded(path, max_bytes)
    except (ContractError, OSError):
        return None  # there is none, a longer one, or one that cannot be read any more
