"""Power cuts through whole updates: a device always comes back with the old release or the new, and with all that it ever reported."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from contracts.lifecycle import Phase
from tests.live.power import Disk, power_disk
from tests.sim.small_device import COMMITTED, MODEL, Place, SmallDevice, live, place_of, release_of

ROOT = Path(__file__).parents[3]
CUTS = 100
# So many more where none met a shadow, which is a matter of chance.
MORE_CUTS = 200
CUTS_WITHOUT_FSYNC, MORE_CUTS_WITHOUT_FSYNC = 20, 100
# Cuts after which the device is also given time to end what was interrupted.
FINISHED_EVERY = 5
# Cuts after which its process was killed before.
KILLED_EVERY = 20
# Its place on the way of a release that runs beside what serves before it serves itself.
SHADOWED = 3
LEAST_PHASES = 4
MANY = 10_000
WITHOUT_FSYNC = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fsync", "-e", "inject=fsync:retval=0"]
FIRST_RELEASES_S = 150.0
END_S = 60.0


@dataclass(frozen=True)
class Said:
    """What a device has reported so far; of its place the newest, which an update that starts over sets back."""

    place: Place = (0, 0)
    generation: int = 0


class Writer:
    """A device at work in a process of its own, which may die and start again."""

    def __init__(self, state: Path, under: list[str]) -> None:
        """Work on `state`, under some tool."""
        self.said = Said()
        # The release that was under way when it was killed: its update starts over, and what it says of that before is no promise.
        self._cut_off = 0
        self._command = [*under, sys.executable, "-m", "tests.sim.small_device", str(state), str(MANY)]
        self._start()

    def _start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self._listener = threading.Thread(target=self._hear, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    def _hear(self, lines: IO[str]) -> None:
        for line in lines:
            heard = json.loads(line)
            place = heard.get("place")
            self.said = Said(self.said.place if place is None else self._kept(*place), heard.get("generation", self.said.generation))

    def _kept(self, release: int, rank: int) -> Place:
        return (release, rank if release != self._cut_off or rank == COMMITTED else 0)

    def end(self) -> None:
        """Kill it."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(END_S)
        self._listener.join(END_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def die_and_start_again(self) -> None:
        """Kill it; what it left to the kernel is still on its way to the disk when the next one takes it up."""
        self.end()
        self._cut_off = self.said.place[0]
        self.said = Said(self._kept(*self.said.place), self.said.generation)
        self._start()

    def assert_lives(self) -> None:
        """Fail when it ended by itself."""
        assert self._process.poll() is None, "the device ended"


@contextmanager
def at_work(disk: Disk, under: list[str]) -> Iterator[Writer]:
    """Run a device that takes one release after the other; begin when it has its second."""
    writer = Writer(disk.folder / "state", under)
    try:
        end_s = time.monotonic() + FIRST_RELEASES_S
        while writer.said.place < (3, 0):
            writer.assert_lives()
            assert time.monotonic() < end_s, "the device took no release in time"
            time.sleep(0.01)
        yield writer
        writer.assert_lives()
    finally:
        writer.end()


@dataclass(frozen=True)
class Found:
    """What is there after a cut, read by the agent's own code before anything is begun."""

    place: Place
    generation: int
    torn: tuple[int, ...]

    def lacks(self, said: Said) -> bool:
        """Say whether something is gone that was reported before the cut."""
        return self.place < said.place or self.generation < said.generation


def look(state: Path) -> Found:
    """Open the state as an agent does at its start, and read every release that a slot names."""
    device = SmallDevice(state)
    machine = device.store.load(MODEL)
    needed = [machine.current, machine.previous]
    # What is tested and what serves was unpacked before that was ever said.
    if machine.phase in {Phase.TESTING, Phase.SHADOW, Phase.SWITCHING, Phase.PROBATION}:
        needed.append(machine.candidate)

    async def whole() -> tuple[int, ...]:
        return tuple([ref.release for ref in needed if ref is not None and await device.delivery.installed(ref) is None])

    return Found(place_of(machine), device.trust.memory().generation, asyncio.run(whole()))


async def boot(state: Path, *, is_finished: bool) -> SmallDevice:
    """Start the agent on what is there, wait until it serves, and if told to until what was interrupted is over."""
    device = SmallDevice(state)
    machine = device.store.load(MODEL)
    candidate = None if machine.candidate is None else machine.candidate.release
    if candidate is not None:
        device.source.hold(release_of(candidate))
    async with device.running():
        await device.until_served()
        if is_finished and candidate is not None and machine.shadow is not None:
            await device.until(lambda _: device.is_shadow(candidate))  # it is one again, until the fleet has it serve
            await device.wish(candidate)
        if is_finished:
            await device.until(lambda report: report.phase is Phase.COMMITTED)
    return device


def test_no_power_cut_tears_a_release_or_loses_what_was_reported(tmp_path: Path, tell: Callable[[str], None]) -> None:
    chance, places, shadows, cuts = random.Random(5), set[int](), 0, 0
    with power_disk(tmp_path) as disk, at_work(disk, []) as writer:
        for number in range(CUTS + MORE_CUTS):
            if number >= CUTS and shadows and len(places) >= LEAST_PHASES:
                break
            cuts += 1
            if number % KILLED_EVERY == KILLED_EVERY - 1:
                writer.die_and_start_again()
            time.sleep(chance.uniform(0.0, 0.1))
            said = writer.said
            with disk.after_a_cut() as folder:
                state = folder / "state"
                found = look(state)
                shadows += found.place[1] == SHADOWED
                assert found.torn == (), f"cut {number} at {found.place}"
                assert not found.lacks(said), f"cut {number}: said {said}, found {found}"
                places.add(found.place[1])
                device = asyncio.run(boot(state, is_finished=number % FINISHED_EVERY == 0))
                release, rank = found.place
                assert device.launcher.torn == []
                # The committed one serves first; of an update under way, that is the one before.
                assert device.launcher.served[0] in ({release, release - 1} if rank != SHADOWED else {release - 1})
                if number % FINISHED_EVERY == 0:
                    assert device.launcher.served[-1] == release
                    assert place_of(device.store.load(MODEL)) >= (release, rank)
        last = writer.said.place[0]
    phases = f"{len(places)} phases of {COMMITTED + 1}, {shadows} of them in shadow"
    tell(f"power cuts: {cuts} through {last} updates, in {phases}: 0 torn, 0 lost")
    assert len(places) >= LEAST_PHASES
    assert shadows


def test_a_device_that_does_not_sync_loses_what_it_reported(tmp_path: Path, tell: Callable[[str], None]) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    chance, torn, lost, cuts = random.Random(5), 0, 0, 0
    with power_disk(tmp_path) as disk, at_work(disk, WITHOUT_FSYNC) as writer:
        for number in range(CUTS_WITHOUT_FSYNC + MORE_CUTS_WITHOUT_FSYNC):
            if number >= CUTS_WITHOUT_FSYNC and lost:
                break
            cuts += 1
            time.sleep(chance.uniform(0.0, 0.3))
            said = writer.said
            with disk.after_a_cut() as folder:
                found = look(folder / "state")
            torn += bool(found.torn)
            lost += found.lacks(said)
    tell(f"power cuts without fsync: {cuts}: {torn} torn, {lost} lost")
    assert lost


def test_what_a_killed_process_had_not_synced_is_synced_before_it_is_relied_on(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    with power_disk(tmp_path) as disk:
        # Given a device that is killed just when it would sync the last file of release 3, all of which is written
        state = disk.folder / "state"
        asyncio.run(live(state, 2))
        model = release_of(3).manifest.files["artifacts/cpu/model.onnx"].sha256
        on_that_file = ["-P", str(state / "incoming" / model), "-e", "trace=fsync", "-e", "inject=fsync:signal=KILL:when=1"]
        command = ["strace", "-f", "-qq", "-o", "/dev/null", *on_that_file, sys.executable, "-m", "tests.sim.small_device", str(state), "3"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        killed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert place_of(SmallDevice(state).store.load(MODEL)) == (3, 0)
        # When it starts again, finds all of it there and commits it, just before the power goes
        asyncio.run(live(state, 3))
        with disk.after_a_cut() as folder:
            # Then the release is whole
            assert look(folder / "state") == Found((3, COMMITTED), 3, ())
