"""Touches small files of the kernel's, of which none is trusted to be there, to be readable, to be small, or to end."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

# An attribute of sysfs is at most a page.
MAX_BYTES = 4096
# Of one kind of part; a machine with more of them tells of the first ones.
MAX_ENTRIES = 64
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def text(file: Path) -> str:
    """Return what a file says, without the space around it; empty when it cannot be read, or says more than any sensor does."""
    try:
        # Of a pipe that somebody put there nobody waits for the other end.
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = os.read(handle, MAX_BYTES + 1)
        finally:
            os.close(handle)
    except OSError:
        return ""  # it is not there, it has just gone, it is not for us, or the part behind it does not answer
    return content.decode("ascii", errors="replace").strip(" \t\r\n\0") if len(content) <= MAX_BYTES else ""


def number(file: Path) -> int | None:
    """Return the whole number that a file says."""
    said = text(file)
    return int(said) if _NUMBER.fullmatch(said) else None


def entries(folder: Path, pattern: str) -> list[Path]:
    """Return what a folder holds under names like `pattern`, in the order of names; nothing for a folder that cannot be looked into."""
    try:
        with os.scandir(folder) as found:
            return sorted(islice((Path(entry.path) for entry in found if fnmatchcase(entry.name, pattern)), MAX_ENTRIES))
    except OSError:
        return []


def celsius(file: Path) -> float | None:
    """Return a temperature that stands there in thousandths; None for one that no part of a running machine has."""
    said = number(file)
    # A zone that is switched off may say the lowest number there is, or absolute zero.
    return said / 1000 if said is not None and -100_000 < said < 250_000 else None


def hwmon(sys: Path, *chips: str) -> list[Path]:
    """Return the folders of the hardware monitors of these kinds."""
    return [folder for folder in entries(sys / "class" / "hwmon", "hwmon*") if text(folder / "name") in chips]
