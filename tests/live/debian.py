"""A minimal Debian on this machine's disk with what the agent needs to be installed; made once, and read by every container."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from tests.live.cached import CACHE, Need, building, do, locked

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates"
# What the suite's own Python is called in wheels.
PYTHON = "3.11"
# In the tree: wheels of everything the agent needs, and an environment of them, without fieldfare itself.
WHEELS = "/opt/wheels"
FIRST = "/opt/first"


def debian() -> Path:
    """Return the tree, made the first time (about two minutes); skip the test where that cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("a systemd container needs root")
    for tool in ("systemd-nspawn", "debootstrap"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    plain = CACHE / SUITE
    wanted = dependencies()
    ready = CACHE / f"{SUITE}-agent-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"
    with locked(CACHE / f"{SUITE}.lock"):
        if not plain.exists():
            with building(plain) as folder:
                command = ("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder))
                do(Need(command, "debootstrap could not make a Debian"))
        if not ready.exists():
            began_s = time.monotonic()
            with building(ready) as folder:
                _add_dependencies(plain, folder, wanted)
            sys.stderr.write(f"made {ready} in {time.monotonic() - began_s:.0f} s\n")
    return ready


def dependencies(*extras: str) -> list[str]:
    """Return what pip is asked for to install the agent with these extras, without fieldfare itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chosen = (wanted for extra in ("agent", *extras) for wanted in project["optional-dependencies"][extra])
    return [*project["dependencies"], *chosen]


def _add_dependencies(plain: Path, folder: Path, wanted: list[str]) -> None:
    do(Need(("cp", "--archive", f"{plain}/.", str(folder)), "the Debian could not be copied"))
    wheels = folder / WHEELS.lstrip("/")
    wheels.mkdir()
    download = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--python-version={PYTHON}")
    do(Need((*download, f"--dest={wheels}", *wanted), "pip could not fetch the agent's dependencies"))
    do(Need(("chroot", str(folder), "python3", "-m", "venv", FIRST), "the Debian's Python makes no environment"))
    install = ("chroot", str(folder), f"{FIRST}/bin/pip", "install", "--quiet", "--no-index", f"--find-links={WHEELS}")
    do(Need((*install, *wanted), "pip could not install the agent's dependencies"))
