"""A Debian with real systemd as its first process, in a container on this machine; made once, thrown away after each use."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fieldfare-tests"
CGROUPS = Path("/sys/fs/cgroup")
BOOT_DEADLINE_S = 60.0


@dataclass(frozen=True)
class Container:
    """A booted Debian that shares this machine's network."""

    root: Path
    leader: int

    def run(self, *command: str, expected: int | None = 0, deadline_s: float = 60.0) -> str:
        """Run a command as root inside; return its output, or fail with it when its status is not the expected one."""
        entered = ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--", *command]
        done = subprocess.run(entered, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=deadline_s, check=False)
        assert expected is None or done.returncode == expected, f"{command}: status {done.returncode}\n{done.stdout}"
        return done.stdout

    def unit(self, name: str, key: str) -> str:
        """Return one property of a unit."""
        return self.run("systemctl", "show", name, "--property", key, "--value").strip()


@contextmanager
def booted(binds: Mapping[Path, str]) -> Iterator[Container]:
    """Boot a disposable Debian with these folders of the host, read-only, in it; skip the test where that cannot be done."""
    base = _debian()
    with tempfile.TemporaryDirectory(prefix="fieldfare-container-") as scratch, _overlay(base, Path(scratch)) as root:
        # A machine's name is a host name, and tempfile puts underscores into its own.
        name = f"fieldfare-{secrets.token_hex(6)}"
        options = [f"--bind-ro={source}:{target}" for source, target in binds.items()]
        command = ["systemd-nspawn", "--boot", f"--directory={root}", f"--machine={name}", "--keep-unit", "--register=no", "--console=pipe"]
        # PID 1 needs bpf to bound a unit's addresses, and all capabilities to hand out fewer.
        command += ["--capability=all", "--system-call-filter=bpf", *options]
        with _own_cgroups(name) as enter:
            process = subprocess.Popen(
                ["sh", "-c", f'{enter}exec "$@"', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
            )
            try:
                yield _wait_for_boot(root, process)
            finally:
                # SIGTERM to nspawn is a power-off for its first process.
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _debian() -> Path:
    """Return a minimal Debian; made by debootstrap the first time."""
    if os.geteuid() != 0:
        pytest.skip("a systemd container needs root")
    for tool in ("systemd-nspawn", "debootstrap"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    base = CACHE / SUITE
    if not base.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f"{SUITE}-", dir=CACHE))
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(building)]
        made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False)
        if made.returncode != 0:
            shutil.rmtree(building)
            pytest.skip(f"debootstrap could not make a Debian: {made.stdout.strip().splitlines()[-1]}")
        building.chmod(0o755)
        building.rename(base)
    return base


@contextmanager
def _overlay(base: Path, scratch: Path) -> Iterator[Path]:
    """Mount a view of `base` whose changes go to `scratch`."""
    upper, work, root = scratch / "upper", scratch / "work", scratch / "root"
    for folder in (upper, work, root):
        folder.mkdir()
    options = f"lowerdir={base},upperdir={upper},workdir={work}"
    mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no overlay file system here: {mounted.stderr.strip()}")
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


@contextmanager
def _own_cgroups(name: str) -> Iterator[str]:
    """Yield shell commands that put a process into control groups of its own; on cgroup v2 alone nspawn makes them itself."""
    folders = [] if (CGROUPS / "cgroup.controllers").exists() else [path / name for path in CGROUPS.iterdir() if path.is_dir()]
    for folder in folders:
        folder.mkdir()
        if folder.parent.name == "cpuset":
            for share in ("cpus", "mems"):
                (folder / f"cpuset.{share}").write_text((folder.parent / f"cpuset.{share}").read_text())
    try:
        yield "".join(f"echo $$ > {folder}/cgroup.procs; " for folder in folders)
    finally:
        for folder in folders:
            _remove_cgroup(folder)


def _remove_cgroup(folder: Path) -> None:
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        path.rmdir()
    folder.rmdir()


def _wait_for_boot(root: Path, process: subprocess.Popen[bytes]) -> Container:
    end = time.monotonic() + BOOT_DEADLINE_S
    while time.monotonic() < end and process.poll() is None:
        for child in psutil.Process(process.pid).children():
            container = Container(root, child.pid)
            if container.run("systemctl", "is-system-running", expected=None).strip() in {"running", "degraded"}:
                _make_controllers_writable(container)
                return container
        time.sleep(0.1)
    pytest.skip("systemd did not come up in a container here")


def _make_controllers_writable(container: Container) -> None:
    """Let PID 1 enforce limits: nspawn mounts version 1 controllers read-only, and then they are silently ignored."""
    if (CGROUPS / "cgroup.controllers").exists():
        return
    for controller in ("memory", "pids", "cpu", "cpuacct", "blkio", "devices", "freezer", "cpuset"):
        container.run("mount", "-o", "remount,bind,rw", f"/sys/fs/cgroup/{controller}", expected=None)
    container.run("systemctl", "daemon-reexec")
