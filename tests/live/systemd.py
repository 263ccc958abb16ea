"""A Debian with real systemd as its first process, in a container on this machine, thrown away after use."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.live.debian import debian

CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids", "cpu", "cpuacct", "blkio", "devices", "freezer", "cpuset")
IS_VERSION_2 = (CGROUPS / "cgroup.controllers").exists()
BOOT_DEADLINE_S = 240.0
# Of the processors, as 1024 for every process on this machine.
USUAL_SHARES, MOST_SHARES = "4096", "262144"
# Nothing that the host's environment says is so in there.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "COLUMNS": "160"}
# A unit may take its TimeoutStopSec, half a minute for the agent, before its machine is down.
STOP_S = 120.0


class Container:
    """A Debian that shares this machine's network; it can be booted again on what it left on its disk."""

    def __init__(self, root: Path, binds: Mapping[Path, str], log: Path) -> None:
        """Use `root` as its disk, with these folders and files of the host, read-only, in it."""
        self.root = root
        self._binds = binds
        self._log = log
        self._leader = 0
        self._process: subprocess.Popen[bytes] | None = None
        # A machine's name is a host name: no underscores, which tempfile puts into its own.
        self._name = f"fieldfare-{secrets.token_hex(6)}"
        self._cgroups: list[Path] = []

    def run(self, *command: str, expected: int | None = 0, deadline_s: float = 400.0) -> str:
        """Run a command as root inside; return its output, or fail with it when its status is not the expected one."""
        done = subprocess.run(
            self.entered(*command),
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=deadline_s,
            check=False,
        )
        assert expected is None or done.returncode == expected, f"{command}: status {done.returncode}\n{done.stdout}"
        return done.stdout

    def entered(self, *command: str) -> list[str]:
        """Return a command of the host that runs `command` inside."""
        return ["nsenter", "--target", str(self._leader), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--", *command]

    def unit(self, name: str, key: str) -> str:
        """Return one property of a unit."""
        return self.run("systemctl", "show", name, "--property", key, "--value").strip()

    @contextmanager
    def first_in_line(self) -> Iterator[None]:
        """Let it have the processors before everybody else for a while."""
        self._share(MOST_SHARES)
        try:
            yield
        finally:
            self._share(USUAL_SHARES)

    def boot(self) -> None:
        """Start it; skip the test when systemd does not come up here."""
        self._cgroups = _own_cgroups(self._name)
        self._share(USUAL_SHARES)
        command = ["systemd-nspawn", "--boot", f"--directory={self.root}", f"--machine={self._name}", "--keep-unit", "--register=no"]
        # PID 1 needs bpf to bound a unit's addresses, and all capabilities to hand out fewer.
        command += ["--console=pipe", "--capability=all", "--system-call-filter=bpf"]
        command += [f"--bind-ro={source}:{target}" for source, target in self._binds.items()]
        enter = "".join(f"echo $$ > {folder}/cgroup.procs; " for folder in self._cgroups)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", f'{enter}exec "$@"', "sh", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_for_boot(self._process)
        self._make_controllers_writable()

    def power_off(self) -> None:
        """Stop it: SIGTERM to nspawn is a power-off for its first process."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                # Its first process, with which every other in there goes; nspawn alone would leave them behind.
                os.kill(self._leader, signal.SIGKILL)
                self._process.wait()
            self._process = None
        for folder in self._cgroups:
            _remove_cgroup(folder)
        self._cgroups = []

    def _share(self, shares: str) -> None:
        """Decide what it gets of the processors: by itself all of it competes as one process with each process of this machine."""
        for folder in self._cgroups:
            if (folder / "cpu.shares").exists():
                (folder / "cpu.shares").write_text(shares)

    def _wait_for_boot(self, process: subprocess.Popen[bytes]) -> None:
        end_s = time.monotonic() + BOOT_DEADLINE_S
        while time.monotonic() < end_s and process.poll() is None:
            for child in psutil.Process(process.pid).children():
                self._leader = child.pid
                if self.run("systemctl", "is-system-running", expected=None).strip() in {"running", "degraded"}:
                    return
            time.sleep(0.1)
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
        pytest.skip(f"systemd did not come up in a container here: {''.join(last)}")

    def _make_controllers_writable(self) -> None:
        """Let PID 1 enforce limits: nspawn mounts version 1 controllers read-only, and then they are silently ignored."""
        if IS_VERSION_2:
            return
        for controller in CONTROLLERS:
            self.run("mount", "-o", "remount,bind,rw", f"/sys/fs/cgroup/{controller}", expected=None)
        self.run("systemctl", "daemon-reexec")


@contextmanager
def booted(binds: Mapping[Path, str]) -> Iterator[Container]:
    """Boot a disposable Debian with these folders and files of the host in it; skip the test where that cannot be done."""
    base = debian()
    with tempfile.TemporaryDirectory(prefix="fieldfare-container-") as scratch, _overlay(base, Path(scratch)) as root:
        container = Container(root, binds, Path(scratch) / "console.log")
        try:
            container.boot()
            yield container
        finally:
            container.power_off()


@contextmanager
def _overlay(base: Path, scratch: Path) -> Iterator[Path]:
    """Mount a view of `base` whose changes go to `scratch`."""
    upper, work, root = scratch / "upper", scratch / "work", scratch / "root"
    for folder in (upper, work, root):
        folder.mkdir(mode=0o755)
    options = f"lowerdir={base},upperdir={upper},workdir={work}"
    mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no overlay file system here: {mounted.stderr.strip()}")
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


def _own_cgroups(name: str) -> list[Path]:
    """Make control groups for one container in every hierarchy; on cgroup v2 alone nspawn makes them itself."""
    folders = [] if IS_VERSION_2 else [path / name for path in CGROUPS.iterdir() if path.is_dir()]
    for folder in folders:
        folder.mkdir()
        if folder.parent.name == "cpuset":
            for share in ("cpus", "mems"):
                (folder / f"cpuset.{share}").write_text((folder.parent / f"cpuset.{share}").read_text())
    return folders


def _remove_cgroup(folder: Path) -> None:
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        path.rmdir()
    folder.rmdir()
