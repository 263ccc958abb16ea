"""A minimal Debian on this machine's disk with what the agent needs to be installed; made once, and read by every container."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates"
# What the suite's own Python is called in wheels.
PYTHON = "3.11"
# Read before the tests get a cache of their own: this is to outlive them.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fieldfare-tests"
# In the tree: wheels of everything the agent needs, and an environment of them, without fieldfare itself.
WHEELS = "/opt/wheels"
FIRST = "/opt/first"


@dataclass(frozen=True)
class Need:
    """One command of making the tree, and why the tests skip when it fails."""

    command: tuple[str, ...]
    purpose: str


def debian() -> Path:
    """Return the tree, made the first time (about two minutes); skip the test where that cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("a systemd container needs root")
    for tool in ("systemd-nspawn", "debootstrap"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    plain = CACHE / SUITE
    wanted = _dependencies()
    ready = CACHE / f"{SUITE}-agent-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / f"{SUITE}.lock"):
        if not plain.exists():
            with _building(plain) as folder:
                command = ("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder))
                _do(Need(command, "debootstrap could not make a Debian"))
        if not ready.exists():
            began_s = time.monotonic()
            with _building(ready) as folder:
                _add_dependencies(plain, folder, wanted)
            sys.stderr.write(f"made {ready} in {time.monotonic() - began_s:.0f} s\n")
    return ready


def _dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["agent"]]


def _add_dependencies(plain: Path, folder: Path, wanted: list[str]) -> None:
    _do(Need(("cp", "--archive", f"{plain}/.", str(folder)), "the Debian could not be copied"))
    wheels = folder / WHEELS.lstrip("/")
    wheels.mkdir()
    download = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--python-version={PYTHON}")
    _do(Need((*download, f"--dest={wheels}", *wanted), "pip could not fetch the agent's dependencies"))
    _do(Need(("chroot", str(folder), "python3", "-m", "venv", FIRST), "the Debian's Python makes no environment"))
    install = ("chroot", str(folder), f"{FIRST}/bin/pip", "install", "--quiet", "--no-index", f"--find-links={WHEELS}")
    _do(Need((*install, *wanted), "pip could not install the agent's dependencies"))


def _do(need: Need) -> None:
    # Outside, pip may be told things by its environment that are not so in the tree.
    environment = {name: value for name, value in os.environ.items() if not (need.command[0] == "chroot" and name.startswith("PIP_"))}
    done = subprocess.run(
        need.command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"{need.purpose}: {''.join(done.stdout.strip().splitlines()[-1:])}")


@contextmanager
def _building(place: Path) -> Iterator[Path]:
    """Yield a folder beside `place` that becomes it, unless making it fails."""
    folder = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=CACHE))
    folder.chmod(0o755)
    try:
        yield folder
        folder.rename(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Make one run of the tests wait for another one that makes the same tree."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
