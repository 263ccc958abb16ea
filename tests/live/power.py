"""A disk whose power can be cut: ext4 on a file that lies on XFS, of which an atomic copy can be made while somebody writes.

A copy holds what reached the disk and nothing that the kernel still had in memory, as after a power cut; mounting it replays the journal.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# ioctl of linux/fs.h by which one file becomes a copy of another without its bytes being read.
FICLONE = 0x40049409
DISK_BYTES = 320 << 20
# The journal goes to the disk each second by itself: what was not synced must not survive for long by luck, nor be lost for ever.
OPTIONS = "loop,commit=1,noatime"
BUSY_S = 20.0


@dataclass(frozen=True)
class Disk:
    """The disk, where it is mounted, and where its copies are."""

    folder: Path
    image: Path
    copy: Path
    copied: Path

    def freeze(self) -> None:
        """Take no writes any more, as a file system does that has found an error."""
        _run("mount", "-o", "remount,ro", str(self.folder))

    @contextmanager
    def after_a_cut(self) -> Iterator[Path]:
        """Cut the power now, and yield what a device finds when it comes back; whoever writes to the disk goes on unharmed."""
        # Who still holds the copy before must not write into this one.
        self.copy.unlink(missing_ok=True)
        with self.image.open("rb") as source, self.copy.open("wb") as target:
            fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
        _run("mount", "-o", OPTIONS, str(self.copy), str(self.copied))
        try:
            yield self.copied
        finally:
            _unmount(self.copied)


@contextmanager
def power_disk(scratch: Path) -> Iterator[Disk]:
    """Make such a disk; skip the test, with the reason, where that cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("mounting a disk whose power is cut needs root")
    for tool in ("mkfs.xfs", "mkfs.ext4", "mount"):
        if _found(tool) is None:
            pytest.skip(f"{tool} is not installed")
    outer, inner, copied = (scratch / name for name in ("outer", "inner", "copied"))
    for folder in (outer, inner, copied):
        folder.mkdir()
    with _mounted(scratch / "outer.img", 2 * DISK_BYTES, ["mkfs.xfs", "-q", "-m", "reflink=1"], outer, "loop"):
        image = outer / "disk.img"
        with _mounted(image, DISK_BYTES, ["mkfs.ext4", "-q", "-J", "size=4"], inner, OPTIONS):
            yield Disk(inner, image, outer / "copy.img", copied)


@contextmanager
def small_disk(scratch: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a disk of its own, small enough to be filled at once; skip the test where that cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("mounting a disk needs root")
    if _found("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    folder = scratch / "small"
    folder.mkdir()
    with _mounted(scratch / "small.img", size_bytes, ["mkfs.ext4", "-q", "-m", "0"], folder, "loop"):
        yield folder


@contextmanager
def _mounted(image: Path, size: int, make: list[str], folder: Path, options: str) -> Iterator[None]:
    with image.open("wb") as stream:
        stream.truncate(size)
    for command in ([_found(make[0]) or make[0], *make[1:], str(image)], ["mount", "-o", options, str(image), str(folder)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            pytest.skip(f"no disk can be mounted here: {' '.join(command)}: {done.stderr.strip()}")
    try:
        yield
    finally:
        _unmount(folder)


def _found(tool: str) -> str | None:
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _unmount(folder: Path) -> None:
    """Unmount; the end of a process that was killed takes the kernel a moment; a container started meanwhile holds all that it saw."""
    end_s = time.monotonic() + BUSY_S
    while subprocess.run(["umount", str(folder)], capture_output=True, check=False, timeout=60).returncode != 0:
        if time.monotonic() > end_s:
            _run("umount", "--lazy", str(folder))
            return
        time.sleep(0.05)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=60)
