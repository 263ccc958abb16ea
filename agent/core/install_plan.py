"""Decides what installing the agent as a service writes, who owns it, and which commands follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

USER = "fieldfare"
UNIT = "fieldfare-agent.service"
CONFIG_DIR = PurePosixPath("/etc/fieldfare")
_SYSTEM_FILES = {
    "fieldfare-agent.sysusers.conf": PurePosixPath("/etc/sysusers.d/fieldfare-agent.conf"),
    "fieldfare-agent.tmpfiles.conf": PurePosixPath("/etc/tmpfiles.d/fieldfare-agent.conf"),
    UNIT: PurePosixPath("/etc/systemd/system") / UNIT,
}


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


def plan(
    units: Mapping[str, str], command: PurePosixPath, config: bytes, others: Mapping[str, tuple[bytes, bool]], root: str
) -> InstallPlan:
    """Plan for the files in `units`, the `fieldfare` command, agent.toml, and its other files by relative path, secret or not.

    Into another `root` than / everything is written and enabled, and nothing is started.
    """
    system = tuple(
        Placed(place, units[name].replace("@COMMAND@", str(command)).encode(), 0o644, "root", "root")
        for name, place in _SYSTEM_FILES.items()
    )
    files = [Placed(CONFIG_DIR / "agent.toml", config, 0o640, "root", USER)]
    for path, (content, is_secret) in sorted(others.items()):
        rights = (0o600, USER, USER) if is_secret else (0o640, "root", USER)
        files.append(Placed(CONFIG_DIR / path, content, *rights))
    elsewhere = () if root == "/" else (f"--root={root}",)
    make_user = (
        ("systemd-sysusers", *elsewhere, _SYSTEM_FILES["fieldfare-agent.sysusers.conf"].name),
        ("systemd-tmpfiles", *elsewhere, "--create", _SYSTEM_FILES["fieldfare-agent.tmpfiles.conf"].name),
    )
    enable = ("systemctl", *elsewhere, "enable", UNIT)
    start = (("systemctl", "daemon-reload"), enable, ("systemctl", "restart", UNIT)) if root == "/" else (enable,)
    return InstallPlan(system, make_user, tuple(files), start)
