"""A device in a container with the agent as its service, and what tests look at and do there."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.authority import authority, identity_of
from tests.live.debian import FIRST, WHEELS
from tests.live.systemd import Container, booted
from tests.live.wheels import another_version, build_wheel

UNIT = "fieldfare-agent.service"
STATE = "/var/lib/fieldfare"
FIELDFARE = "/usr/local/bin/fieldfare"
BUILT = "/opt/built"
CONTAINER_PYTHON = (3, 11)
# pip unpacks some twenty wheels, on a machine that has much else to do.
INSTALL_S = 240.0
# What is another in a version that never says that it is ready.
MUTE = ("READY=1", "STATUS=not ready yet")
# What other versions want of their unit.
UNIT_IN_WHEEL = "agent/units/fieldfare-agent.service"
TASKS, BETTER_TASKS, MUTE_TASKS = "TasksMax=512", "TasksMax=501", "TasksMax=402"
CONFIG = """
[device]
id = "pi-1"
hardware = "cpu"
[broker]
host = "127.0.0.1"
port = {port}
[telemetry]
health_interval_s = 1
"""
# Tries to write to every folder and file that there is, and prints those that take it; below such a folder it does not look.
WRITABLE = """
import os, tempfile
def takes(path):
    try:
        if os.path.isdir(path):
            tempfile.TemporaryFile(dir=path).close()
        else:
            open(path, "ab").close()
    except OSError:
        return False
    return True
for top, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(top, name) not in {"/proc", "/sys"}]
    if takes(top):
        print(top)
        folders.clear()
        continue
    paths = [os.path.join(top, name) for name in files]
    print(*(path for path in paths if os.path.isfile(path) and not os.path.islink(path) and takes(path)), sep="\\n")
"""
# Of an installation that comes and goes, what is not its own: logs, caches, and what systemd itself remembers of having run.
NOT_OURS = ("/var/log", "/var/cache", "/var/lib/systemd", "/var/tmp", "/opt/first", "/etc/.pwd.lock", "/root")
BACKUPS = ("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-")


@dataclass(frozen=True)
class Device:
    """A container with an installed agent, and the versions of it that can be had there."""

    container: Container
    wheel: str
    better: str
    mute: str
    # What was there before the installation, and what the installation said.
    before: frozenset[str]
    said: str

    def fieldfare(self, *arguments: str, expected: int | None = 0) -> str:
        """Run the installed command."""
        return self.container.run(FIELDFARE, "agent", *arguments, expected=expected)

    def status(self) -> dict[str, object]:
        """Return what `status --json` says, whether or not the agent runs."""
        found: dict[str, object] = json.loads(self.fieldfare("status", "--json", expected=None))
        return found

    def pid(self) -> str:
        """Return the service's process."""
        return self.container.unit(UNIT, "MainPID")

    def is_linked(self) -> bool:
        """Tell whether the process that runs now has reached the broker."""
        agent = self.status()["agent"]
        return isinstance(agent, dict) and bool(agent["is_linked"]) and str(agent["pid"]) == self.pid()


@contextmanager
def installed_device(built: Path, broker_port: int) -> Iterator[Device]:
    """Boot a device and install the agent on it from its wheel, as a user does it; wheels are built in `built`."""
    wheel = build_wheel(built)
    better = another_version(wheel, "9.0.0", {UNIT_IN_WHEEL: (TASKS, BETTER_TASKS)})
    mute = another_version(wheel, "9.1.0", {"agent/adapters/notify.py": MUTE, UNIT_IN_WHEEL: (TASKS, MUTE_TASKS)})
    with booted({built: BUILT}) as container:
        folder = container.root / "root" / "pi-1"
        folder.mkdir()
        (folder / "agent.toml").write_text(CONFIG.format(port=broker_port))
        (folder / "root.json").write_text("{}")
        (folder / "ca.pem").write_text(authority().pem)
        (folder / "identity.pem").write_text(identity_of("pi-1"))
        before = tree(container)
        # The wheel runs from where it lies, on the dependencies that the tree has: so one environment less is made.
        first = ("env", f"PYTHONPATH={BUILT}/{wheel.name}", "PYTHONDONTWRITEBYTECODE=1", f"{FIRST}/bin/python", "-m", "cli")
        source = ("--from", f"{BUILT}/{wheel.name}", "--index", WHEELS)
        said = container.run(*first, "agent", "install", "--config", "/root/pi-1", *source, deadline_s=INSTALL_S)
        paths = [f"{BUILT}/{path.name}" for path in (wheel, better, mute)]
        yield Device(container, paths[0], paths[1], paths[2], before, said)


@contextmanager
def fast_watchdog(device: Device) -> Iterator[Container]:
    """Let the watchdog bite after two seconds instead of thirty, and see in the journal that it did."""
    container, folder = device.container, f"/run/systemd/system/{UNIT}.d"
    container.run("mkdir", "--parents", folder)
    container.run("sh", "-c", f"printf '[Service]\\nWatchdogSec=2\\n' > {folder}/fast.conf")
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "restart", UNIT)
    # Two seconds are a matter of the neighbours otherwise.
    with container.first_in_line():
        yield container
    assert "Watchdog timeout" in container.run("journalctl", "--unit", UNIT, "--no-pager", "--lines=200")
    container.run("rm", "--recursive", folder)
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "restart", UNIT)


@contextmanager
def able_to_serve(device: Device, root: bytes, serve_port: int) -> Iterator[None]:
    """Give the service ONNX Runtime as the suite has it, and this root of trust; afterwards it has no runtime any more."""
    if sys.version_info[:2] != CONTAINER_PYTHON:
        pytest.skip("the container's Python is another one than ours, whose ONNX Runtime it could borrow")
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None, "the suite needs ONNX Runtime"
    assert spec.origin is not None, "ONNX Runtime is a package with files"
    container = device.container
    told = (container.root / "etc/fieldfare/agent.toml").read_text()
    more = f"{told}[serve]\nport = {serve_port}\n[update]\nprobation_s = 1\n"
    (container.root / "etc/fieldfare/agent.toml").write_text(more)
    (container.root / "etc/fieldfare/root.json").write_bytes(root)
    places = container.root / container.run("sh", "-c", "realpath /opt/fieldfare/current/lib/python3*/site-packages").strip().lstrip("/")
    lent = [Path(spec.origin).parent, *Path(spec.origin).parents[1].glob("onnxruntime-*.dist-info")]
    for folder in lent:
        shutil.copytree(folder, places / folder.name)
    container.run("systemctl", "restart", UNIT)
    yield
    for folder in lent:
        shutil.rmtree(places / folder.name)
    (container.root / "etc/fieldfare/agent.toml").write_text(told)
    container.run("systemctl", "restart", UNIT)


def make_mute(device: Device, good: str) -> None:
    """Do pip's work for the mute version by a copy of a good one: that pip does it was seen before, and it takes its time."""
    wheel = device.container.run("sha256sum", device.mute)
    label = f"9.1.0-{wheel[:12]}"
    program = (
        "cd /opt/fieldfare/versions && cp --archive --link {good} {label} && cd {label} && "
        "sed --in-place 's|versions/{good}|versions/{label}|' bin/fieldfare && cd lib/python3*/site-packages/agent/adapters && "
        "sed --in-place 's|{before}|{after}|' notify.py && rm __pycache__/notify.* && "
        "sed --in-place 's|^TasksMax=.*|{tasks}|' ../units/fieldfare-agent.service"
    )
    device.container.run("sh", "-c", program.format(good=good, label=label, before=MUTE[0], after=MUTE[1], tasks=MUTE_TASKS))


def wait_until_active(device: Device, before: str, *, timeout_s: float = 240) -> None:
    """Wait until another process than `before` is the service's."""
    end_s = time.monotonic() + timeout_s
    while not _is_active_as_another(device, before):
        assert time.monotonic() < end_s, device.container.run("journalctl", "--unit", UNIT, "--no-pager", "--lines=30")
        time.sleep(0.05)


def absence_s(device: Device) -> float:
    """Return for how long the service was away the last time, by systemd's own clock."""
    ended, began = ("ActiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    shown = device.container.run("systemctl", "show", UNIT, f"--property={ended},{began}")
    stamps_us = {name: int(stamp) for name, stamp in (line.split("=", 1) for line in shown.split())}
    return (stamps_us[began] - stamps_us[ended]) / 1e6


def _is_active_as_another(device: Device, before: str) -> bool:
    """Ask for both at once: between two questions the old process may have ended, and the new one not begun to serve."""
    shown = device.container.run("systemctl", "show", UNIT, "--property=ActiveState,MainPID")
    found = dict(line.split("=", 1) for line in shown.split())
    return found["ActiveState"] == "active" and found["MainPID"] not in {"0", before}


def tree(container: Container) -> frozenset[str]:
    """Return every path of the container's disk that an installation could have made, and the users and groups it could."""
    found = container.run("find", "/", "-xdev", "-not", "-path", "/tmp/*", "-not", "-path", "/run/*").splitlines()
    paths = {path for path in found if not path.startswith((*NOT_OURS, *BACKUPS))}
    lines = {line for file in ("passwd", "group", "shadow") for line in container.run("cat", f"/etc/{file}").splitlines()}
    return frozenset(paths | lines)
