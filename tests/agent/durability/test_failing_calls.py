"""Every call that changes the disk during one whole update is killed, fails, or finds the disk full; the next start makes it good."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.configuration_files import ConfigurationFiles
from agent.core.configuring import BASE_REF
from contracts.bundle import MANIFEST
from contracts.lifecycle import Phase
from tests.sim import settings_device, small_device
from tests.sim.nursery import PATIENCE_S, UNDISTURBED_S
from tests.sim.small_device import MODEL, SmallDevice, release_of

ROOT = Path(__file__).parents[3]
CALLS = {
    "fsync": "fsync",
    "rename": "rename,renameat,renameat2",
    "write": "write",
    "pwrite64": "pwrite64",
    "link": "link,linkat",
    "symlink": "symlink,symlinkat",
    "unlink": "unlink,unlinkat,rmdir",
    "mkdir": "mkdir,mkdirat",
    "fallocate": "fallocate",
}
FAULTS = {"KILL": "signal=KILL", "EIO": "error=EIO", "ENOSPC": "error=ENOSPC"}
KILLED, GIVEN_UP = -signal.SIGKILL, -signal.SIGALRM
ROOM_BYTES = 512 << 20


@dataclass
class Nursery:
    """Devices that have releases 1 and 2 and take 3, or revisions of their settings, each from the same state."""

    process: subprocess.Popen[str]
    scratch: Path
    log: Path
    # Asserts that a state holds what it should after an update, and nothing else.
    check_good: Callable[[Path], None]

    @property
    def state(self) -> Path:
        """Where the newest device has its state."""
        return self.scratch / "state"

    def run(self, calls: str, fault: str, *options: str) -> tuple[int, str]:
        """Let a new device take the release while a call goes wrong; return its status, and the call that was hit, if there was one."""
        options = (*options, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}")
        for patience_s in (PATIENCE_S, UNDISTURBED_S):
            answer = self._order(options, patience_s)
            was_hit = answer["status"] == KILLED if "KILL" in fault else "INJECTED" in answer["hit"]
            if was_hit or answer["status"] != GIVEN_UP:
                break
        return answer["status"], answer["hit"] if was_hit else ""

    def _order(self, options: tuple[str, ...], patience_s: int) -> dict[str, Any]:
        """Let a new device work."""
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.copytree(self.scratch / "template", self.state, symlinks=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"state": str(self.state), "options": options, "patience_s": patience_s}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def nursery(log: Path, kind: str = "release") -> Iterator[Nursery]:
    """Start a nursery in memory, where there is room."""
    release, settings = (small_device.live, check_release), (settings_device.live, check_settings)
    live, check_good = {"release": release, "shadow": release, "settings": settings}[kind]
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    memory = Path("/dev/shm")
    in_memory = memory.is_dir() and shutil.disk_usage(memory).free > ROOM_BYTES
    with tempfile.TemporaryDirectory(prefix="fieldfare-nursery-", dir=memory if in_memory else None) as folder:
        scratch = Path(folder)
        asyncio.run(live(scratch / "template", 2))
        command = [sys.executable, "-m", "tests.sim.nursery", kind, "3", str(scratch / "strace.log")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
            with process:
                try:
                    yield Nursery(process, scratch, log, check_good)
                finally:
                    process.kill()


async def start_again(state: Path) -> SmallDevice:
    """Start the agent with no fault, and hear the fleet's wish again; one that had failed for good is followed by the next."""
    device = SmallDevice(state)
    device.source.hold(release_of(3))
    async with device.running():
        assert await device.until_served() in {2, 3}
        report = await device.wish(3)
        if report.phase is Phase.FAILED:
            assert report.reason
            report = await device.wish(4)
        assert report.phase is Phase.COMMITTED
        await device.until_tidy()
    return device


def check_release(state: Path) -> None:
    """Assert that a state holds what it should after an update, and nothing else."""
    device = asyncio.run(start_again(state))
    machine = device.store.load(MODEL)
    assert device.launcher.torn == []
    assert machine.current is not None
    assert device.launcher.served[-1] == machine.current.release
    assert machine.previous is not None
    assert {path.name for path in (state / "releases").iterdir()} == {machine.current.manifest_sha256, machine.previous.manifest_sha256}
    assert [path.name for path in (state / "incoming").iterdir()] == []
    assert [str(path) for path in state.rglob(".*")] == []
    for slot, release in (("current", machine.current), ("previous", machine.previous)):
        assert (state / "models" / MODEL / slot).resolve().name == release.manifest_sha256


def check_settings(state: Path) -> None:
    """Assert that a device starts with settings that are whole, takes revision 3 in the end, and keeps what it needs and nothing else."""
    assert settings_device.committed(state) in {2, 3}
    life = asyncio.run(settings_device.take(state, 3))
    if life.report is not None and life.report.phase is Phase.FAILED:
        assert life.report.reason
        life = asyncio.run(settings_device.take(state, 4))
    newest = settings_device.committed(state)
    assert newest >= 3, life.report
    kept = {path.name for path in (state / "configuration").iterdir()}
    needed = ConfigurationFiles(state).load().needed - {BASE_REF.manifest_sha256}
    assert kept == {"update.json", *(f"{digest}.json" for digest in needed)}


def sweep(devices: Nursery, call: str, faults: Callable[[int], tuple[str, ...]]) -> int:
    """Let the first, second, third... call go wrong until there is none left; return how many updates were disturbed."""
    disturbed = 0
    for when in itertools.count(1):
        was_hit = False
        for fault in faults(when):
            status, hit = devices.run(CALLS[call], f"{FAULTS[fault]}:when={when}")
            if not hit:
                assert status == 0, f"{call} {when} was not hit by {fault}, and the device ended with {status}:\n{devices.log.read_text()}"
                continue
            was_hit = True
            disturbed += 1
            try:
                devices.check_good(devices.state)
            except BaseException as error:
                error.args = (f"after {fault} at {call} {when}, {hit}: {error}",)
                raise
        if not was_hit:
            return disturbed
    raise AssertionError


def one_fault_of_three(when: int) -> tuple[str, ...]:
    """Return another fault for each call in turn."""
    return (tuple(FAULTS)[when % len(FAULTS)],)


def every_fault(_when: int) -> tuple[str, ...]:
    """Return all faults for each call."""
    return tuple(FAULTS)


def test_whichever_call_goes_wrong_the_next_start_makes_it_good(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with nursery(tmp_path / "nursery.log") as devices:
        counts = {call: sweep(devices, call, one_fault_of_three) for call in CALLS}
    tell(f"disturbed updates: {sum(counts.values())}: {counts}")
    assert min(counts.values()) >= 1


def test_whichever_call_goes_wrong_while_settings_are_taken_the_next_start_makes_it_good(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    calls = ("fsync", "rename", "write", "unlink")
    with nursery(tmp_path / "nursery.log", "settings") as devices:
        counts = {call: sweep(devices, call, one_fault_of_three) for call in calls}
    tell(f"disturbed changes of settings: {sum(counts.values())}: {counts}")
    assert min(counts.values()) >= 1


def test_whichever_rename_goes_wrong_around_a_shadow_the_next_start_makes_it_good(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with nursery(tmp_path / "nursery.log", "shadow") as devices:
        count = sweep(devices, "rename", one_fault_of_three)
    tell(f"disturbed updates by way of the shadow: {count}")
    assert count


@pytest.mark.slow
def test_whichever_call_goes_wrong_around_a_shadow_in_whichever_way_the_next_start_makes_it_good(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with nursery(tmp_path / "nursery.log", "shadow") as devices:
        counts = {call: sweep(devices, call, every_fault) for call in CALLS}
    tell(f"disturbed updates by way of the shadow: {sum(counts.values())}: {counts}")
    assert min(counts.values()) >= 1


@pytest.mark.slow
def test_whichever_call_goes_wrong_in_whichever_way_the_next_start_makes_it_good(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with nursery(tmp_path / "nursery.log") as devices:
        counts = {call: sweep(devices, call, every_fault) for call in CALLS}
    tell(f"disturbed updates: {sum(counts.values())}: {counts}")
    assert min(counts.values()) >= 1


@pytest.mark.parametrize("damaged", ["machine", "memory", "manifest", "model", "shared"])
def test_a_device_starts_and_takes_the_next_release_although_a_file_can_never_be_read_again(tmp_path: Path, damaged: str) -> None:
    with nursery(tmp_path / "nursery.log") as devices:
        release = devices.state / "releases" / release_of(2).manifest.sha256
        file = {
            "machine": devices.state / "models" / MODEL / "update.json",
            "memory": devices.state / "memory.json",
            "manifest": release / MANIFEST,
            "model": release / "artifacts/cpu/model.onnx",
            "shared": release / "golden/inputs.npz",
        }[damaged]
        status, hit = devices.run("openat", "error=EIO", "-P", str(file))
        assert str(file) in hit
        assert status == 0, devices.log.read_text()
        devices.check_good(devices.state)
