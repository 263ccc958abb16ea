"""Touches the versions of the agent under its prefix: virtual environments, and the links that say which is current and which is good."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from agent.adapters import disk
from agent.core.upgrade import Trial
from agent.core.versions import Wanted
from agent.errors import InstallError

Link = Literal["current", "good"]
LINKS: tuple[Link, ...] = ("current", "good")
VENV_S = 600.0
# Over a slow link to a slow card.
PIP_S = 3600.0
COMPLETE = ".complete"


class Environments:
    """Everything below one prefix: `versions/NAME`, `current`, `good`, and the note of a trial."""

    def __init__(self, prefix: Path) -> None:
        """Use `prefix`, which need not exist."""
        self.prefix = prefix
        self._note = prefix / "upgrade.json"

    def named(self, link: Link) -> str | None:
        """Return the environment that a link names."""
        path = self.prefix / link
        return path.readlink().name if path.is_symlink() else None

    def point(self, link: Link, name: str) -> None:
        """Let a link name another environment, in one step."""
        disk.link_to(self.prefix / link, f"versions/{name}")

    def folder(self, name: str) -> Path:
        """Return where an environment lies."""
        return self.prefix / "versions" / name

    def is_complete(self, name: str) -> bool:
        """Tell whether an environment was made to its end."""
        return (self.folder(name) / COMPLETE).is_file()

    def adopt(self) -> str:
        """Make the only environment that somebody put into an image the current and the good one; raise InstallError."""
        found = [folder.name for folder in self.folder("").glob("*") if (folder / "bin" / "fieldfare").is_file()]
        if len(found) != 1:
            advice = "run in the image: python3 -m venv /opt/fieldfare/versions/first, and its pip install 'fieldfare[agent]'"
            raise InstallError(str(self.folder("")), "one environment with fieldfare", f"{len(found)}; {advice}")
        disk.write_whole(self.folder(found[0]) / COMPLETE, b"", mode=0o644)
        for link in LINKS:
            self.point(link, found[0])
        return found[0]

    def make(self, wanted: Wanted, options: tuple[str, ...]) -> bool:
        """Make an environment, whole or not at all; return False when it is there already. Raise InstallError."""
        folder = self.folder(wanted.label)
        if self.is_complete(wanted.label):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shared = ["--system-site-packages"] if _sees_the_system() else []
        pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "install", "--no-input", "--no-cache-dir", "--disable-pip-version-check"]
        try:
            _run([sys.executable, "-I", "-m", "venv", *shared, str(folder)], VENV_S)
            _run([*pip, *options, *wanted.requirements], PIP_S)
            os.sync()  # pip does not: a power cut must not leave half of it behind a mark that says complete
            disk.write_whole(folder / COMPLETE, b"", mode=0o644)
        except BaseException:  # Ctrl-C too must leave no half of it; it is raised again
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return True

    def trial(self) -> Trial | None:
        """Return the upgrade that is under way; a note that cannot be read was never finished, so nothing was switched."""
        try:
            return Trial.model_validate_json(self._note.read_bytes())
        except (OSError, ValidationError):
            return None

    def begin(self, trial: Trial) -> None:
        """Write a trial down, before anything is switched."""
        disk.write_whole(self._note, trial.model_dump_json().encode(), mode=0o644)

    def end(self) -> None:
        """Forget the trial: whatever `current` names now stays."""
        self._note.unlink(missing_ok=True)
        disk.sync_folder(self.prefix)

    @contextmanager
    def lead(self) -> Iterator[bool]:
        """Hold the lead of a trial for as long as this process lives; yields False when another one has it."""
        self.prefix.mkdir(parents=True, exist_ok=True)
        with (self.prefix / "upgrade.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def tidy(self, *kept: str | None) -> None:
        """Remove every environment but these and those that the links name."""
        names = {self.named("current"), self.named("good"), *kept}
        for folder in (self.prefix / "versions").iterdir():
            if folder.name not in names:
                shutil.rmtree(folder)


def sha256_of_file(path: Path) -> str:
    """Return the digest of a wheel; raise InstallError."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InstallError(str(path), "a wheel that can be read", error.strerror or repr(error)) from error
    return digest.hexdigest()


def _sees_the_system() -> bool:
    """Tell whether this environment uses the system's packages too, as on a Jetson for TensorRT."""
    try:
        lines = (Path(sys.prefix) / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return False
    return any(line.replace(" ", "").lower() == "include-system-site-packages=true" for line in lines)


def _run(command: list[str], deadline_s: float) -> None:
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline_s)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or error.stdout.strip()).splitlines()[-1:]
        raise InstallError(" ".join(command), "status 0", f"{error.returncode}: {''.join(last)}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(" ".join(command), "to run", str(error)) from error
