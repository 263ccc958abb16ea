"""Decides what installing the agent as a service writes, who owns it, which commands follow, and how all of it is taken away again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.core.status import SERVICE_STATE_DIR, status_file

UNIT = "fieldfare-agent.service"
CONFIG_DIR = PurePosixPath("/etc/fieldfare")
UNIT_FILE = PurePosixPath("/etc/systemd/system") / UNIT
COMMAND_LINK = PurePosixPath("/usr/local/bin/fieldfare")
# Who may open accelerators, cameras and what tells of throttling, on the systems that have such a group.
DEVICE_GROUPS = ("apex", "gpio", "plugdev", "render", "video")
SYSTEM_FILES = {
    "fieldfare-agent.sysusers.conf": PurePosixPath("/etc/sysusers.d/fieldfare-agent.conf"),
    "fieldfare-agent.tmpfiles.conf": PurePosixPath("/etc/tmpfiles.d/fieldfare-agent.conf"),
    UNIT: UNIT_FILE,
}


@dataclass(frozen=True)
class Seat:
    """Where the agent is installed, and as whom it runs; both stand in the unit, which is how they are found again."""

    prefix: PurePosixPath
    user: str

    @property
    def command(self) -> PurePosixPath:
        """Return the command of whichever version is current."""
        return self.prefix / "current" / "bin" / "fieldfare"


DEFAULT_SEAT = Seat(PurePosixPath("/opt/fieldfare"), "fieldfare")


@dataclass(frozen=True)
class Placed:
    """One file and its rights; `owner` and `group` are names."""

    path: PurePosixPath
    content: bytes
    mode: int
    owner: str
    group: str


@dataclass(frozen=True)
class InstallPlan:
    """Everything, in order: files of the system, commands that make the user, the agent's files, commands that start it."""

    system_files: tuple[Placed, ...]
    user_commands: tuple[tuple[str, ...], ...]
    agent_files: tuple[Placed, ...]
    start_commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RemovalPlan:
    """What is taken away, in order: the service, files, the user; then what may be kept is removed or closed to everybody."""

    stop_commands: tuple[tuple[str, ...], ...]
    paths: tuple[PurePosixPath, ...]
    user_commands: tuple[tuple[str, ...], ...]
    kept: tuple[PurePosixPath, ...]
    is_purge: bool
    # Removed when nothing else is in them.
    emptied: tuple[PurePosixPath, ...]


def seat_of(unit: str) -> Seat | None:
    """Read the seat from an installed unit; None for a unit of another making."""
    command = re.search(r"^ExecStart=(/\S+)/current/bin/fieldfare ", unit, re.MULTILINE)
    user = re.search(r"^User=(\S+)$", unit, re.MULTILINE)
    return Seat(PurePosixPath(command[1]), user[1]) if command and user else None


def plan(
    units: Mapping[str, str], seat: Seat, groups: frozenset[str], config: bytes, others: Mapping[str, tuple[bytes, bool]], root: str
) -> InstallPlan:
    """Plan for the files in `units`, the machine's `groups`, agent.toml, and its other files by relative path, secret or not.

    Into another `root` than / everything is written and enabled, and nothing is started.
    """
    files = [Placed(CONFIG_DIR / "agent.toml", config, 0o640, "root", seat.user)]
    for path, (content, is_secret) in sorted(others.items()):
        rights = (0o600, seat.user, seat.user) if is_secret else (0o640, "root", seat.user)
        files.append(Placed(CONFIG_DIR / path, content, *rights))
    elsewhere = () if root == "/" else (f"--root={root}",)
    enable = ("systemctl", *elsewhere, "enable", UNIT)
    start = (("systemctl", "daemon-reload"), enable, ("systemctl", "restart", UNIT)) if root == "/" else (enable,)
    return InstallPlan(system_files(units, seat, groups), adopt_commands(*elsewhere), tuple(files), start)


def system_files(units: Mapping[str, str], seat: Seat, groups: frozenset[str]) -> tuple[Placed, ...]:
    """Return the system's files as a version's `units` want them, on a machine with these `groups`."""
    texts = {name: units[name].replace("@PREFIX@", str(seat.prefix)).replace("@USER@", seat.user) for name in SYSTEM_FILES}
    texts["fieldfare-agent.sysusers.conf"] += "".join(f"m {seat.user} {group}\n" for group in DEVICE_GROUPS if group in groups)
    return tuple(Placed(place, texts[name].encode(), 0o644, "root", "root") for name, place in SYSTEM_FILES.items())


def adopt_commands(*options: str) -> tuple[tuple[str, ...], ...]:
    """Return the commands that make the user and the folders which those files ask for."""
    return (
        ("systemd-sysusers", *options, SYSTEM_FILES["fieldfare-agent.sysusers.conf"].name),
        ("systemd-tmpfiles", *options, "--create", SYSTEM_FILES["fieldfare-agent.tmpfiles.conf"].name),
    )


def removal(seat: Seat, is_purge: bool) -> RemovalPlan:
    """Plan the way back: nothing is left but configuration and state, and with `is_purge` not even those."""
    stop = (("systemctl", "disable", "--now", UNIT), ("systemctl", "reset-failed", UNIT))
    notes = ("upgrade.json", "upgrade.lock", "upgrade.reason", "upgrade.units")
    of_prefix = tuple(seat.prefix / name for name in ("current", "good", "versions", *notes))
    paths = (*SYSTEM_FILES.values(), PurePosixPath(status_file(SERVICE_STATE_DIR)).parent, COMMAND_LINK, *of_prefix)
    after = (("systemctl", "daemon-reload"), ("userdel", seat.user))
    return RemovalPlan(stop, paths, after, (CONFIG_DIR, SERVICE_STATE_DIR), is_purge, (PurePosixPath("/etc/sysusers.d"), seat.prefix))
