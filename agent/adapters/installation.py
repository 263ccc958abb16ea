"""Touches the machine that the agent is installed on: its files, its users and its services."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from agent.adapters import disk, systemd
from agent.adapters.environments import Environments, sha256_of_file
from agent.adapters.unit_files import groups
from agent.config import Settings
from agent.core.install_plan import COMMAND_LINK, UNIT, UNIT_FILE, InstallPlan, Placed, Seat, plan, seat_of
from agent.core.versions import KEPT, Wanted, wanted
from agent.errors import InstallError
from agent.runtimes.installed import installed_version

# The service's view of the machine leaves these out, so an installation in them could not be started.
HIDDEN = (PurePosixPath("/home"), PurePosixPath("/root"), PurePosixPath("/run/user"))


@dataclass(frozen=True)
class Done:
    """One step, in words, and whether anything is another than before."""

    text: str
    is_change: bool = True


def plan_installation(settings: Settings, seat: Seat, root: Path) -> InstallPlan:
    """Read what is to be installed; raise InstallError when it could not work."""
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", str(seat.prefix)) or ".." in seat.prefix.parts:
        raise InstallError(str(seat.prefix), "an absolute path of letters, digits, dots and dashes", "another")
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", seat.user):
        raise InstallError(seat.user, "a user's name of small letters, digits and dashes", "another")
    # An image has a Python of its own.
    interpreter = PurePosixPath(os.path.realpath(sys.executable)) if root == Path("/") else seat.prefix
    for place in (seat.prefix, interpreter):
        if any(place.is_relative_to(hidden) for hidden in HIDDEN):
            found = f"one under /{place.parts[1]}, which services do not see; install it under /opt/fieldfare, with the system's Python"
            raise InstallError(str(place), "an installation for the whole system", found)
    folder = resources.files("agent") / "units"
    units = {entry.name: entry.read_text() for entry in folder.iterdir() if entry.name.startswith("fieldfare-agent.")}
    return plan(units, seat, groups(root), settings.file.read_bytes(), dict(_named_files(settings)), str(root))


def wanted_version(text: str | None) -> Wanted:
    """Return what to install: a wheel, a version, or without either the version that runs now, always with the runtimes of now."""
    found = {name: installed_version(name) for name in (*KEPT, "fieldfare")}
    installed = {name: version for name, version in found.items() if version is not None}
    text = text or installed.get("fieldfare", "")
    if not text.endswith(".whl"):
        return wanted(text, None, installed)
    file = Path(text).resolve()
    return wanted(str(file), sha256_of_file(file), installed)


def provide(environments: Environments, asked: Wanted, options: tuple[str, ...]) -> Iterator[Done]:
    """Make the first environment, where there is none yet; raise InstallError."""
    current = environments.named("current")
    if current is not None and environments.is_complete(current):
        yield Done(f"unchanged {environments.folder(current)}; another version comes by `fieldfare agent upgrade`", is_change=False)
    else:
        yield Done(f"making {environments.folder(asked.label)}: pip installs {' '.join(asked.requirements)}")
        environments.make(asked, options)
        environments.point("current", asked.label)
        yield Done(f"made {environments.folder(asked.label)}")
    # What an interrupted upgrade left is the guard's business: here only a missing link is made.
    environments.point("good", environments.named("good") or str(environments.named("current")))


def adopt(environments: Environments) -> Iterator[Done]:
    """Take the environment that an image came with; raise InstallError."""
    if environments.named("current") is None:
        yield Done(f"linked {environments.adopt()}, the version in the image")


def install(installation: InstallPlan, root: Path) -> Iterator[Done]:
    """Carry the plan out up to its start, saying each thing that was done; what is right is left alone. Raise InstallError."""
    for placed in installation.system_files:
        yield _place(placed, root)
    for command in installation.user_commands:
        yield Done(systemd.run(command), is_change=False)
    for placed in installation.agent_files:
        yield _place(placed, root)
    if root == Path("/"):
        yield _link_command(installation)
        systemd.verify(Path(UNIT_FILE))
        yield Done(f"verified {UNIT_FILE}", is_change=False)


def start(installation: InstallPlan, is_changed: bool) -> Iterator[Done]:
    """Start the service, or start it anew after a change: an agent that is as it should be is not disturbed. Raise InstallError."""
    if not is_changed and systemd.properties(UNIT, "ActiveState")["ActiveState"] == "active":
        yield Done(f"unchanged: {UNIT} is active", is_change=False)
        return
    for command in installation.start_commands:
        yield Done(systemd.run(command))


def installed_seat(root: Path = Path("/")) -> Seat | None:
    """Return where the agent is installed, by its unit; None when it is not."""
    try:
        return seat_of((root / UNIT_FILE.relative_to("/")).read_text())
    except OSError:
        return None


def _link_command(installation: InstallPlan) -> Done:
    """Put the command where people find it, unless something of that name is there."""
    unit = next(placed for placed in installation.system_files if placed.path == UNIT_FILE)
    seat = seat_of(unit.content.decode())
    assert seat is not None  # we have just written it
    link = Path(COMMAND_LINK)
    if os.path.lexists(link) and not (link.is_symlink() and link.readlink() == Path(seat.command)):
        return Done(f"left {link} alone; this agent's command is {seat.command}", is_change=False)
    link.parent.mkdir(parents=True, exist_ok=True)
    disk.link_to(link, str(seat.command))
    return Done(f"linked {link}", is_change=False)


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


def _place(placed: Placed, root: Path) -> Done:
    path = root / placed.path.relative_to("/")
    owner, group = _known_id(root, "passwd", placed.owner), _known_id(root, "group", placed.group)
    try:
        if path.is_file() and path.read_bytes() == placed.content and _rights(path) == (placed.mode, owner, group):
            return Done(f"unchanged {path}", is_change=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Born unreadable for others, whatever it will be allowed to be.
        disk.write_whole(path, placed.content, mode=0o600)
        os.chown(path, owner, group)
        path.chmod(placed.mode)
    except OSError as error:
        raise InstallError(str(path), "a place to write", str(error)) from error
    return Done(f"wrote {path} ({placed.mode:04o} {placed.owner}:{placed.group})")


def _rights(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mode & 0o7777, found.st_uid, found.st_gid


def _known_id(root: Path, table: str, name: str) -> int:
    found = 0 if name == "root" else id_of(root, table, name)
    if found is None:
        raise InstallError(str(root / "etc" / table), f"an entry {name}", "none; systemd-sysusers did not make it")
    return found


def id_of(root: Path, table: str, name: str) -> int | None:
    """Return a user's or a group's number; None for one that is not there."""
    for line in (root / "etc" / table).read_text().splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return int(fields[2])
    return None
