"""Forks small devices that take one release under strace, without loading Python anew for each: python -m tests.sim.nursery KIND LAST LOG.

KIND is `release`, `shadow` for one that runs beside what serves at first, or `settings` for a revision of the device's settings.

Reads one order a line, {"state": FOLDER, "options": [OPTIONS OF STRACE]}, and answers by {"status": EXIT STATUS OR -SIGNAL, "hit": the last
call that was tampered with}.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TypedDict

import anyio

from tests.sim import settings_device
from tests.sim.small_device import SmallDevice, release_of

# A device that has not ended its update by then is still trying, which a restart then takes up.
PATIENCE_S = 20
# One that nothing happened to is only slow, on a machine that has much else to do.
UNDISTURBED_S = 240
TRACED_S = 60.0


async def take_release(state: Path, number: int) -> None:
    """Bring one release onto a device, whatever becomes of it."""
    device = SmallDevice(state)
    async with device.running():
        await device.until_served()
        await device.wish(number)


async def take_shadow(state: Path, number: int) -> None:
    """Bring one release onto a device by way of the shadow, whatever becomes of it."""
    device = SmallDevice(state)
    async with device.running():
        await device.until_served()
        await device.shadow(number)
        await device.wish(number)


async def take_settings(state: Path, number: int) -> None:
    """Bring one revision onto a device, whatever becomes of it."""
    await settings_device.take(state, number)


class Order(TypedDict):
    """Which device is to work, with what done to its calls, and for how long."""

    state: str
    options: list[str]
    patience_s: int


KINDS = {"release": take_release, "shadow": take_shadow, "settings": take_settings}


def be_a_device(kind: str, state: Path, number: int, patience_s: int) -> None:
    """Be the child: wait for strace, then work; never return."""
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(patience_s)
    status = 1
    try:
        while re.search(r"TracerPid:\t0\n", Path("/proc/self/status").read_text()):
            time.sleep(0.001)
        anyio.run(KINDS[kind], state, number)
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may go on in a child of ours, whatever ended it
        traceback.print_exc()
    finally:
        os._exit(status)


def run(kind: str, order: Order, number: int, log: Path) -> tuple[int, str]:
    """Fork a device, tamper with its calls; return how it ended and which call was hit last."""
    child = os.fork()
    if child == 0:
        be_a_device(kind, Path(order["state"]), number, order["patience_s"])
    log.unlink(missing_ok=True)
    tracer = subprocess.Popen(["strace", "-f", "-y", "-qq", "-o", str(log), *order["options"], "-p", str(child)])
    _, status = os.waitpid(child, 0)
    tracer.wait(TRACED_S)
    lines = log.read_text(errors="replace").splitlines()
    hit = [line for line in lines if "INJECTED" in line] or lines[-1:]
    return os.waitstatus_to_exitcode(status), hit[-1] if hit else ""


def main() -> None:
    """Take orders until there are none."""
    kind, number, log = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if kind != "settings":
        release_of(number)
    for line in sys.stdin:
        status, hit = run(kind, json.loads(line), number, log)
        sys.stdout.write(json.dumps({"status": status, "hit": hit}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
