"""Touches systemd through its own commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from agent.errors import InstallError

COMMAND_S = 120.0
JOURNAL_LINES = 5


def need_root(command: str) -> None:
    """Raise InstallError unless we may change the machine."""
    if os.geteuid() != 0:
        raise InstallError(command, "to be run as root", f"user {os.geteuid()}; use sudo")


def need_systemd() -> None:
    """Raise InstallError on a machine that systemd does not run."""
    if not is_running():
        raise InstallError("/run/systemd/system", "a machine run by systemd", "none; start `fieldfare agent run` by other means")


def is_running() -> bool:
    """Tell whether systemd is this machine's first process."""
    return Path("/run/systemd/system").is_dir()


def run(command: Sequence[str]) -> str:
    """Run a command and say so; raise InstallError with its last words."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_S)
    except subprocess.CalledProcessError as error:
        raise InstallError(" ".join(command), "status 0", f"{error.returncode}: {error.stderr.strip()[-1000:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(" ".join(command), "to run", str(error)) from error
    return f"ran {' '.join(command)}"


def verify(unit_file: Path) -> None:
    """Raise InstallError for what systemd does not like about a unit; what it says of other units is not our business."""
    done = subprocess.run(["systemd-analyze", "verify", str(unit_file)], capture_output=True, text=True, timeout=COMMAND_S, check=False)
    ours = [line for line in done.stderr.splitlines() if unit_file.name in line]
    if done.returncode != 0 and ours:
        raise InstallError(str(unit_file), "a unit that this systemd takes", ours[0])


def ask(command: Sequence[str]) -> str:
    """Return what a command says, and nothing when it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def properties(unit: str, *names: str) -> dict[str, str]:
    """Return properties of a unit; those that systemd does not tell are empty."""
    said = ask(["systemctl", "show", unit, "--property", ",".join(names)])
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return {name: found.get(name, "") for name in names}


def last_words(unit: str) -> str:
    """Return the newest lines that a unit logged, as one."""
    said = ask(["journalctl", "--unit", unit, "--no-pager", "--quiet", "--output=cat", f"--lines={JOURNAL_LINES}"])
    return " | ".join(line.strip() for line in said.splitlines())
