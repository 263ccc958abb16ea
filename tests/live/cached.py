"""System trees that tests make once and keep outside the repository: where they lie, and how one is made whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# Read before the tests get a cache of their own: this is to outlive them.
CACHE = Path(os.environ.get("FIELDFARE_TEST_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fieldfare-tests")


@dataclass(frozen=True)
class Need:
    """One command of making a tree, why the tests skip when it fails, and how long it may take."""

    command: tuple[str, ...]
    purpose: str
    deadline_s: float = 900.0


def do(need: Need) -> None:
    """Run the command, or skip the test with its last words."""
    # Outside, pip may be told things by its environment that are not so in the tree.
    environment = {name: value for name, value in os.environ.items() if not (need.command[0] == "chroot" and name.startswith("PIP_"))}
    done = subprocess.run(
        need.command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=need.deadline_s, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"{need.purpose}: {''.join(done.stdout.strip().splitlines()[-1:])}")


@contextmanager
def building(place: Path) -> Iterator[Path]:
    """Yield a folder beside `place` that becomes it, unless making it fails."""
    folder = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=place.parent))
    folder.chmod(0o755)
    try:
        yield folder
        folder.rename(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Make one run of the tests wait for another one that makes the same tree."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
