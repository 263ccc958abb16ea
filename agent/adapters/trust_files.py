"""Touches what the broker says about trust: an untrusted mirror of bounded size, and the memory of what verified."""

from __future__ import annotations

from pathlib import Path

from agent.adapters import disk
from agent.core.memory import Memory
from contracts import codec
from contracts.bundle import read_bounded
from contracts.errors import ContractError
from contracts.topics import of_trust_file, parse_trust_file
from contracts.trust import MAX_ENVELOPE_BYTES, MAX_TRUST_FILE_BYTES

MAX_FILES = 128
MAX_MEMORY_BYTES = 16 * 1024


class TrustFiles:
    """The files the verifier reads."""

    def __init__(self, root: Path) -> None:
        """Make the folders below the state folder."""
        self.mirror_dir = root / "mirror"
        self.cache_dir = root / "trust"
        self.envelope_file = self.mirror_dir / "desired"
        self._memory_file = root / "memory.json"
        for folder in (self.mirror_dir, self.cache_dir):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)

    def put(self, name: str, raw: bytes) -> bool:
        """Mirror a trust file, an empty one meaning that it was withdrawn; return whether anything changed."""
        if parse_trust_file(of_trust_file(name)) is None or len(raw) > MAX_TRUST_FILE_BYTES:
            return False
        path = self.mirror_dir / name
        if not raw:
            had = path.exists()
            path.unlink(missing_ok=True)
            return had
        self._make_room(name)
        return _replace(path, raw)

    def put_envelope(self, raw: bytes) -> bool:
        """Keep the newest desired message; return whether it is another one."""
        if not raw or len(raw) > MAX_ENVELOPE_BYTES:
            return False
        return _replace(self.envelope_file, raw)

    def has_envelope(self) -> bool:
        """Say whether there is anything to verify."""
        return self.envelope_file.exists()

    def memory(self) -> Memory:
        """Return what was remembered last; nothing before the first verified wish."""
        try:
            return codec.decode(Memory, read_bounded(self._memory_file, MAX_MEMORY_BYTES), name="memory.json", max_bytes=MAX_MEMORY_BYTES)
        except ContractError:
            return Memory()

    def remember(self, memory: Memory) -> None:
        """Survive a power cut with this in mind."""
        _replace(self._memory_file, codec.encode(memory))

    def _make_room(self, name: str) -> None:
        found = sorted(self.mirror_dir.glob("*.json"), key=lambda path: path.stat().st_mtime)
        if len(found) >= MAX_FILES and self.mirror_dir / name not in found:
            found[0].unlink()


def _replace(path: Path, raw: bytes) -> bool:
    # Retained messages come again at every connect: unchanged ones must not wear the flash.
    try:
        if read_bounded(path, len(raw)) == raw:
            return False
    except ContractError:
        pass  # there is none, or a longer one
    disk.write_whole(path, raw)
    return True
