"""Touches the machine that the agent is installed on: its files, its users and systemd."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path, PurePosixPath

from agent.adapters import disk
from agent.config import Settings
from agent.core.install_plan import InstallPlan, Placed, plan
from agent.errors import InstallError

COMMAND_S = 90.0
# The service's view of the machine leaves these out, so an installation in them could not be started.
HIDDEN = (PurePosixPath("/home"), PurePosixPath("/root"), PurePosixPath("/run/user"))


def plan_installation(settings: Settings, prefix: Path | None, root: Path) -> InstallPlan:
    """Read what is to be installed; raise InstallError when it could not work."""
    prefix = prefix or Path(sys.prefix)
    command = PurePosixPath(prefix) / "bin" / "fieldfare"
    if not (root / command.relative_to("/")).exists():
        raise InstallError(
            str(command), "the fieldfare command", "none; pip install fieldfare into a virtual environment there, or set --prefix"
        )
    interpreter = Path(os.path.realpath(root / command.relative_to("/").parent / "python"))
    for place in (command, PurePosixPath(interpreter)):
        if any(place.is_relative_to(hidden) for hidden in HIDDEN):
            found = f"one under {place.parts[0]}{place.parts[1]}, which services do not see; install it under /opt/fieldfare"
            raise InstallError(str(place), "an installation for the whole system", found)
    folder = resources.files("agent") / "units"
    units = {entry.name: entry.read_text() for entry in folder.iterdir() if entry.name.startswith("fieldfare-agent.")}
    return plan(units, command, settings.file.read_bytes(), dict(_named_files(settings)), str(root))


def install(installation: InstallPlan, root: Path) -> Iterator[str]:
    """Carry the plan out, saying each thing that was done; what is right already is left alone. Raise InstallError."""
    if os.geteuid() != 0:
        raise InstallError("fieldfare agent install", "to be run as root", f"user {os.geteuid()}; use sudo")
    if root == Path("/") and not Path("/run/systemd/system").is_dir():
        raise InstallError("/run/systemd/system", "a machine run by systemd", "none; start `fieldfare agent run` by other means")
    for placed in installation.system_files:
        yield _place(placed, root)
    for command in installation.user_commands:
        yield _run(command)
    for placed in installation.agent_files:
        yield _place(placed, root)
    for command in installation.start_commands:
        yield _run(command)


def _named_files(settings: Settings) -> Iterator[tuple[str, tuple[bytes, bool]]]:
    config = settings.config
    named = (
        (config.trust.root_file, settings.root_file, False),
        (config.broker.ca_file, settings.ca_file, False),
        (config.broker.identity_file, settings.identity_file, True),
    )
    for name, file, is_secret in named:
        if ".." in PurePosixPath(name).parts:
            raise InstallError(str(settings.file), "files beside it or with absolute paths", repr(name))
        if not PurePosixPath(name).is_absolute():  # an absolute one stays where it is
            yield name, (file.read_bytes(), is_secret)


def _place(placed: Placed, root: Path) -> str:
    path = root / placed.path.relative_to("/")
    owner, group = _id_of(root, "passwd", placed.owner), _id_of(root, "group", placed.group)
    try:
        if path.is_file() and path.read_bytes() == placed.content and _rights(path) == (placed.mode, owner, group):
            return f"unchanged {path}"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Born unreadable for others, whatever it will be allowed to be.
        disk.write_whole(path, placed.content, mode=0o600)
        os.chown(path, owner, group)
        path.chmod(placed.mode)
    except OSError as error:
        raise InstallError(str(path), "a place to write", str(error)) from error
    return f"wrote {path} ({placed.mode:04o} {placed.owner}:{placed.group})"


def _rights(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mode & 0o7777, found.st_uid, found.st_gid


def _id_of(root: Path, table: str, name: str) -> int:
    if name == "root":
        return 0
    for line in (root / "etc" / table).read_text().splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return int(fields[2])
    raise InstallError(str(root / "etc" / table), f"an entry {name}", "none; systemd-sysusers did not make it")


def _run(command: tuple[str, ...]) -> str:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_S)
    except subprocess.CalledProcessError as error:
        raise InstallError(" ".join(command), "status 0", f"{error.returncode}: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(" ".join(command), "to run", str(error)) from error
    return f"ran {' '.join(command)}"
