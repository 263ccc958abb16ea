"""The agent's dependencies for 64-bit Arm, from wheels alone, installed by its own pip: made once, a layer over the plain Debian."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.arm64 import PLAIN, EmulatedDebian, emulated, plain_debian
from tests.live.cached import CACHE, Need, building, do, locked
from tests.live.debian import PYTHON, dependencies

# Two environments, because the older runtime of Corals needs the older numpy.
FIRST = "/opt/fieldfare/versions/first"
CORAL = "/opt/coral"
ENVIRONMENTS = {FIRST: ("onnx", "litert"), CORAL: ("coral",)}
WHEELS = "/opt/wheels"
# Every C library up to Debian 12's.
PLATFORMS = tuple(f"manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1))
INSTALL_S = 1800.0


@contextmanager
def arm64_device(wheel: Path) -> Iterator[EmulatedDebian]:
    """Yield a disposable Debian for Arm with fieldfare's wheel in both environments."""
    with emulated(_with_dependencies(), plain_debian()) as device:
        device.put(f"/opt/{wheel.name}", wheel.read_bytes())
        for environment in ENVIRONMENTS:
            options = ("--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check")
            device.run(f"{environment}/bin/python", "-m", "pip", "install", *options, f"/opt/{wheel.name}")
        _compile(device.upper)
        yield device


def _with_dependencies() -> Path:
    """Return the layer, made the first time; skip the test where that cannot be done."""
    plain = plain_debian()
    wanted = {environment: dependencies(*extras) for environment, extras in ENVIRONMENTS.items()}
    ready = CACHE / f"{PLAIN}-agent-{hashlib.sha256(repr(sorted(wanted.items())).encode()).hexdigest()[:12]}"
    with locked(CACHE / f"{PLAIN}.lock"):
        if not ready.exists():
            began_s = time.monotonic()
            with emulated(plain) as device:
                for environment, requirements in wanted.items():
                    _install(device, environment, requirements)
                _compile(device.upper)
                with building(ready) as folder:
                    do(Need(("cp", "--archive", f"{device.upper}/.", str(folder)), "the layer could not be copied"))
            sys.stderr.write(f"made {ready} in {time.monotonic() - began_s:.0f} s\n")
    return ready


def _install(device: EmulatedDebian, environment: str, requirements: list[str]) -> None:
    folder = f"{WHEELS}{environment}"
    place = device.upper / folder.lstrip("/")
    download = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--python-version={PYTHON}")
    platforms = (f"--platform={name}" for name in PLATFORMS)
    do(Need((*download, *platforms, f"--dest={place}", *requirements), f"pip found no wheels for {environment}"))
    device.run("python3", "-m", "venv", environment)
    options = ("--quiet", "--no-index", f"--find-links={folder}", "--no-compile", "--disable-pip-version-check")
    device.run(f"{environment}/bin/python", "-m", "pip", "install", *options, *requirements, deadline_s=INSTALL_S)


def _compile(folder: Path) -> None:
    """Write byte code, which is the same on every processor: here it takes seconds, and under emulation minutes."""
    command = ["nice", "-n", "15", sys.executable, "-m", "compileall", "-q", "-s", str(folder), "-p", "/", str(folder / "opt")]
    # Some packages hold files that are no Python of this version, which is no fault.
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600, check=False)
