"""Touches the folder of the cache: one checked file a key, of this user alone, the least recently used removed past a size."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from contracts.codec import sha256_of

# With the results of one large model in many forms, and of many small ones.
MAX_BYTES = 4 << 30
# Removing a little more than asked keeps it from being asked at every entry.
KEPT_SHARE = 0.9
FORMAT = b"fieldfare-cache-1"
PART = ".part"
# Nothing else in the folder is ever counted or removed.
OWN = re.compile(rf"[0-9a-f]{{64}}(?:\.[0-9a-f]{{16}}{re.escape(PART)})?")


def default_folder() -> Path:
    """Return the user's own place for it, by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "fieldfare" / "compile"


class FolderStore:
    """Safe beside other compilations: files appear whole or not at all, and one that vanished was never there.

    Where the folder cannot be used it does without, after one complaint.
    """

    def __init__(self, folder: Path, complain: Callable[[str], None], max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._complain = complain
        self._max_bytes = max_bytes
        self._is_usable = self._opened()

    def get(self, key: str) -> bytes | None:
        """Return what was put under this key, or None where there is nothing, or something else than was written."""
        if not self._is_usable:
            return None
        file = self._folder / key
        try:
            raw = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._give_up(f"{error.strerror or error}")
            return None
        head, _, content = raw.partition(b"\n")
        if head != _head(key, content):
            with suppress(OSError):
                file.unlink()
            return None
        with suppress(OSError):
            os.utime(file)  # the time of change is the time of last use
        return content

    def put(self, key: str, content: bytes) -> None:
        """Write beside, then rename: a reader sees the whole or nothing. What is larger than the whole cache is not kept."""
        raw = _head(key, content) + b"\n" + content
        if not self._is_usable or len(raw) > self._max_bytes:
            return
        part = self._folder / f"{key}.{secrets.token_hex(8)}{PART}"
        try:
            self._make_room(len(raw))
            with part.open("xb") as stream:
                stream.write(raw)
            part.replace(self._folder / key)
        except FileNotFoundError:
            return  # another compilation took the room for itself, or somebody cleared the folder away
        except OSError as error:
            self._give_up(f"{error.strerror or error}")
        finally:  # also where Ctrl-C came in between
            with suppress(OSError):
                part.unlink()

    def _opened(self) -> bool:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._folder.stat()
        except OSError as error:
            return self._give_up(f"{error.strerror or error}")
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            # Who can write here can write a model that is then signed.
            return self._give_up("expected a folder that only you can write to, found another's or a shared one")
        return True

    def _give_up(self, reason: str) -> bool:
        self._is_usable = False
        self._complain(f"cache {self._folder}: {reason}; compiling without it (--cache DIR names another place, --no-cache none)")
        return False

    def _make_room(self, size: int) -> None:
        files = sorted(self._files())
        held = sum(bytes_held for _, bytes_held, _ in files)
        if held + size <= self._max_bytes:
            return
        for _, bytes_held, file in files:
            if held + size <= KEPT_SHARE * self._max_bytes:
                return
            with suppress(FileNotFoundError):  # another compilation needed room too
                file.unlink()
            held -= bytes_held

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Yield time of last use, size and file of every entry, those included that somebody is writing or left half written."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if OWN.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        yield found.st_mtime_ns, found.st_size, Path(entry.path)


def _head(key: str, content: bytes) -> bytes:
    """Return the first line of an entry: an entry under another's name is as wrong as one whose bytes changed."""
    return b" ".join((FORMAT, key.encode(), sha256_of(content).encode()))
