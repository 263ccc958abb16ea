"""A 64-bit Arm machine of one's own, in software: Debian's kernel, real systemd, and a disk that a tree was written to."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

QEMU = "qemu-system-aarch64"
TOOLS = {QEMU: "qemu-system-arm", "mkfs.ext4": "e2fsprogs"}
DISK_MIB = 1500
# Sees this machine's loopback under this address (QEMU's user network).
HOST = "10.0.2.2"
# What Debian's kernel has as modules and a boot needs: the disk, its file system, the network.
NEEDED = ("virtio_mmio", "virtio_blk", "virtio_net", "crc32c_generic", "ext4")
INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t proc proc /proc
{load}
/bin/busybox ip link set lo up
/bin/busybox ip address add 10.0.2.15/24 dev eth0
/bin/busybox ip link set eth0 up
/bin/busybox ip route add default via 10.0.2.2
/bin/busybox mount -t ext4 /dev/vda /disk
exec /bin/busybox switch_root /disk /lib/systemd/systemd
"""
# In a mount namespace of its own, so that nothing stays mounted however it ends: $1 is the disk, the rest runs on the merged tree.
MERGE = """
set -e
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK" "$ROOT"
disk=$1; shift
"$@"
rm -rf "$ROOT/opt/wheels" "$ROOT/opt/coral" "$ROOT/opt/asked"
truncate -s "$SIZE" "$disk"
mkfs.ext4 -q -F -d "$ROOT" "$disk"
"""


class Console:
    """What the machine says on its serial line."""

    def __init__(self, file: Path, process: subprocess.Popen[bytes]) -> None:
        self._file = file
        self._process = process

    def text(self) -> str:
        """Return all of it so far."""
        return self._file.read_text(errors="replace") if self._file.exists() else ""

    def wait_for(self, pattern: str, deadline_s: float) -> re.Match[str]:
        """Return the first match; fail with the last lines when there is none in time."""
        end_s = time.monotonic() + deadline_s
        while (found := re.search(pattern, self.text())) is None:
            assert time.monotonic() < end_s, f"no {pattern!r}:\n{self._last_lines()}"
            self.look()
            time.sleep(0.5)
        return found

    def look(self) -> None:
        """Fail when the machine has gone."""
        assert self._process.poll() is None, self._last_lines()

    def _last_lines(self) -> str:
        return "\n".join(self.text().splitlines()[-40:])


def need_machine() -> None:
    """Skip the test where no such machine can be made."""
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; run: apt-get install {package}")


def write_disk(disk: Path, trees: Sequence[Path], command: Sequence[str]) -> None:
    """Merge trees, the first on top, run a command of this machine on the result, which is `{root}` in it, and write that to a disk."""
    scratch = {name: disk.parent / f"{disk.name}.{name.lower()}" for name in ("UPPER", "WORK", "ROOT")}
    for place in scratch.values():
        place.mkdir(mode=0o755)
    settings = [f"{name}={place}" for name, place in scratch.items()]
    settings += [f"LOWER={':'.join(map(str, trees))}", f"SIZE={DISK_MIB}M"]
    inner = [word.replace("{root}", str(scratch["ROOT"])) for word in command]
    done = subprocess.run(
        ["nice", "-n", "15", "env", *settings, "unshare", "--mount", "sh", "-c", MERGE, "sh", str(disk), *inner],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    shutil.rmtree(scratch["UPPER"])


def write_initial(file: Path, tree: Path) -> None:
    """Write what the kernel runs first: busybox, the modules that a boot needs in the order of their needs, and a script."""
    modules = _in_order({path.stem.replace("-", "_"): path for path in (tree / "usr/lib/modules").rglob("*.ko")})
    load = "\n".join(f"/bin/busybox insmod /{path.name}" for path in modules)
    files = {path.name: path.read_bytes() for path in modules}
    files |= {"bin/busybox": (tree / "usr/bin/busybox").read_bytes(), "init": INIT.format(load=load).encode()}
    entries = [_entry(folder, 0o040755, b"") for folder in ("bin", "dev", "proc", "disk")]
    entries += [_entry(name, 0o100755, content) for name, content in files.items()]
    file.write_bytes(b"".join([*entries, _entry("TRAILER!!!", 0, b"")]))


@contextmanager
def booted(disk: Path, initial: Path, tree: Path) -> Iterator[Console]:
    """Boot the disk; ends as a power cut does."""
    kernel = next((tree / "boot").glob("vmlinuz-*"))
    log = disk.with_suffix(".log")
    command = ["nice", "-n", "15", QEMU, "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "512", "-display", "none", "-no-reboot"]
    command += ["-kernel", str(kernel), "-initrd", str(initial), "-append", "console=ttyAMA0 quiet systemd.show_status=1"]
    command += ["-drive", f"file={disk},if=none,id=disk,format=raw", "-device", "virtio-blk-device,drive=disk"]
    command += ["-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net", "-serial", f"file:{log}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        yield Console(log, process)
    finally:
        process.kill()
        process.wait(30)


def _in_order(known: dict[str, Path]) -> list[Path]:
    """Return the needed modules, each after those that it names in its own description."""
    ordered: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in known and name not in ordered:  # else it is built into the kernel
            described = re.search(rb"\0depends=([^\0]*)\0", known[name].read_bytes())
            for other in filter(None, described[1].decode().split(",") if described else []):
                add(other.replace("-", "_"))
            ordered[name] = known[name]

    for name in NEEDED:
        add(name)
    return list(ordered.values())


def _entry(name: str, mode: int, content: bytes) -> bytes:
    """Return one entry of a cpio archive in the form that the kernel reads (newc, Documentation/driver-api/early-userspace)."""
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
