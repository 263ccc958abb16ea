"""A minimal Debian for 64-bit Arm on this machine's disk, unpacked without running any of it, and what a program of it runs in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.cached import CACHE, Need, building, do, locked
from tests.live.debian import PACKAGES, SUITE

# The kernel and busybox are for the machine that boots the tree (tests.live.virtual_machine).
PLAIN = f"{SUITE}-arm64"
EXTRA = "libgomp1,busybox-static,linux-image-arm64"
# What a kernel's package depends on only to be installed as a package, and the modules that no virtual machine wants.
NOT_UNPACKED = ("initramfs-tools", "klibc", "libklibc", "linux-base", "linux-image-arm64", "firmware-", "busybox_")
MODULES = (
    *("kernel/fs/ext4", "kernel/fs/jbd2", "kernel/fs/mbcache*", "kernel/lib", "kernel/crypto", "kernel/drivers/virtio"),
    *("kernel/drivers/block/virtio_blk*", "kernel/drivers/net/virtio_net*", "kernel/drivers/net/net_failover*", "kernel/net/core"),
)
QEMU = "qemu-aarch64-static"
# Processors by what they can do with integers: that of a Raspberry Pi 5 has dot products, for which runtimes have other kernels.
PI_4, PI_5 = "cortex-a72", "cortex-a76"
TOOLS = {"debootstrap": "debootstrap", QEMU: "qemu-user-static", "unshare": "util-linux", "dpkg-deb": "dpkg"}
# An ELF file for a 64-bit little-endian Arm, as the kernel's binfmt-misc is told of it: its head, and which bits of that count.
HEAD = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00"
MASK = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"
# In a namespace of its own: the registration, the mounts and every process are gone with the last one in it, however that ends.
# The shell stays the first process there, because the emulator cannot end that one when its program crashes. And /sys stays empty: where
# runtimes find the processors of this machine there, they believe that they know them, and crash.
ENTER = """
set -e
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf '%s' "$REGISTRATION" > /proc/sys/fs/binfmt_misc/register
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,userxattr" "$ROOT"
mount --rbind /proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
chroot "$ROOT" /usr/bin/env -i QEMU_CPU="$CPU" HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""


class EmulatedDebian:
    """A view of a tree whose programs run here, emulated; what they write goes to a folder of its own."""

    def __init__(self, layers: tuple[Path, ...], scratch: Path) -> None:
        """Show these trees, the first on top, and keep all changes in `scratch`."""
        self.upper = scratch / "upper"
        self._places = {"UPPER": self.upper, "WORK": scratch / "work", "ROOT": scratch / "root"}
        for place in self._places.values():
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
        # The first on top, which is the only one that changes.
        self.trees = (self.upper, *layers)

    def command(self, *command: str, cpu: str = PI_4) -> list[str]:
        """Return a command of this machine that runs `command` inside, as root, as the only child of its only child; one at a time."""
        enter = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        settings = (f"{name}={place}" for name, place in self._places.items())
        known = (f"REGISTRATION={registration()}", f"LOWER={':'.join(map(str, self.trees[1:]))}", f"CPU={cpu}", *settings)
        return ["nice", "-n", "15", "env", *known, *enter, "sh", "-c", ENTER, "sh", *command]

    def run(self, *command: str, cpu: str = PI_4, deadline_s: float = 600.0) -> str:
        """Run a command to its end and return what it printed; fail with that when its status is not 0."""
        done = subprocess.run(
            self.command(*command, cpu=cpu), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=deadline_s, check=False
        )
        assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout

    def put(self, path: str, content: bytes) -> None:
        """Write a file there, for the next command to see."""
        place = self.upper / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def get(self, path: str) -> bytes:
        """Read a file that a command wrote."""
        return (self.upper / path.lstrip("/")).read_bytes()


def registration() -> str:
    """Return the line that makes the kernel hand Arm's programs to the emulator, which it opens at once (F)."""
    head, mask = ("".join(f"\\x{byte:02x}" for byte in text) for text in (HEAD, MASK))
    return f":fieldfare-arm64:M::{head}:{mask}:{shutil.which(QEMU)}:F"


def need_emulation() -> None:
    """Skip the test where Arm's programs cannot be run without a trace on the rest of the machine."""
    if os.geteuid() != 0:
        pytest.skip("unpacking a Debian needs root")
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; run: apt-get install {package}")
    trial = "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc"
    command = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", trial]
    tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if tried.returncode != 0:
        pytest.skip(f"no binfmt_misc of one's own, which came with Linux 6.7: {tried.stderr.strip()}")


def plain_debian() -> Path:
    """Return the tree, made the first time (about two minutes)."""
    need_emulation()
    plain = CACHE / PLAIN
    with locked(CACHE / f"{PLAIN}.lock"):
        if not plain.exists():
            began_s = time.monotonic()
            with building(plain) as folder:
                _unpack(folder)
            sys.stderr.write(f"made {plain} in {time.monotonic() - began_s:.0f} s\n")
    return plain


@contextmanager
def emulated(*layers: Path) -> Iterator[EmulatedDebian]:
    """Yield a disposable view of these trees, the first on top."""
    with tempfile.TemporaryDirectory(prefix="fieldfare-arm64-") as scratch:
        yield EmulatedDebian(layers, Path(scratch))


def _unpack(folder: Path) -> None:
    """Unpack every package by this machine's own tools: their scripts under emulation would take a quarter of an hour."""
    include = f"--include={PACKAGES},{EXTRA}"
    fetch = ("debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", include, SUITE, str(folder))
    do(Need(fetch, "debootstrap could not fetch a Debian for arm64"))
    # debootstrap left links to this machine's own there, and through them every mount would hit the host.
    for name in ("proc", "dev", "sys"):
        if (folder / name).is_symlink():
            (folder / name).unlink()
        (folder / name).mkdir(exist_ok=True)
    for package in sorted((folder / "var/cache/apt/archives").glob("*.deb")):
        if package.name.startswith("linux-image-6"):
            _extract(package, folder, ["--wildcards", "./boot/vmlinuz*", *(f"./lib/modules/*/{name}*" for name in MODULES)])
        elif not package.name.startswith(NOT_UNPACKED):
            _extract(package, folder, [])
        package.unlink()
    _configure(folder)


def _extract(package: Path, folder: Path, options: list[str]) -> None:
    unpack = 'dpkg-deb --fsys-tarfile "$1" | tar --extract --directory "$2" --keep-directory-symlink "${@:3}"'
    do(Need(("bash", "-o", "pipefail", "-c", unpack, "bash", str(package), str(folder), *options), f"{package.name} cannot be unpacked"))


def _configure(folder: Path) -> None:
    """Do what the packages' scripts would have done, as far as somebody here wants it."""
    for name in ("passwd", "group"):
        master = folder / "usr/share/base-passwd" / f"{name}.master"
        (folder / "etc" / name).write_text(master.read_text())
    with (folder / "etc/passwd").open("a") as users, (folder / "etc/group").open("a") as groups:
        users.write("messagebus:x:100:102::/nonexistent:/usr/sbin/nologin\n")
        groups.write("messagebus:x:102:\n")
    do(Need(("systemd-sysusers", f"--root={folder}"), "systemd-sysusers made no users"))
    (folder / "etc/machine-id").write_text("")
    (folder / "etc/hostname").write_text("pi-1\n")
