"""Replaces the agent on this device by another version of itself, and goes back when that one does not become ready."""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.adapters import systemd
from agent.adapters.environments import Environments
from agent.adapters.status_file import StatusFile
from agent.adapters.unit_files import UnitFiles
from agent.core.install_plan import CONFIG_DIR, UNIT, Seat
from agent.core.status import SERVICE_STATE_DIR, Status
from agent.core.upgrade import Sight, Trial, judge
from agent.core.versions import Wanted
from agent.errors import InstallError, UpgradeError

LOOK_S = 0.25
CHECK_S = 120.0


@dataclass(frozen=True)
class Upgrade:
    """What is wanted of an installed agent, and how long it may take to become ready."""

    seat: Seat
    wanted: Wanted
    pip_options: tuple[str, ...]
    deadline_s: float


def upgrade(order: Upgrade) -> Iterator[str]:
    """Bring the version that is wanted into service, saying each step; raise InstallError, or UpgradeError after going back."""
    environments = Environments(Path(order.seat.prefix))
    label = order.wanted.label
    with environments.lead() as is_ours:
        if not is_ours:
            raise InstallError(str(environments.prefix), "no other upgrade under way", "one")
        good = _good(environments)
        if label == good:
            yield f"unchanged: {label} is current"
            return
        yield f"making {environments.folder(label)}: pip installs {' '.join(order.wanted.requirements)}"
        environments.tidy(label)
        is_new = environments.make(order.wanted, order.pip_options)
        yield f"{'made' if is_new else 'found'} {environments.folder(label)}"
        _check(environments.folder(label), order.seat.user)
        yield "it reads this device's configuration and state"
        yield from _take_over(order, environments, good)


def _take_over(order: Upgrade, environments: Environments, good: str) -> Iterator[str]:
    """Let the version that was made be the service, with its own unit; go back when it does not become ready."""
    label, units = order.wanted.label, UnitFiles(environments.prefix)
    changed = units.differing(units.of_version(environments.folder(label), order.seat))
    units.keep(changed)
    was_linked = _is_linked(_word_of_now())
    yield f"switching from {good} to {label}" + ("; it must reach the broker too" if was_linked else "")
    environments.begin(Trial(good=good, candidate=label))
    try:
        yield from units.renew(changed)
        reason = _try(environments, label, order.deadline_s, was_linked)
    except BaseException:  # Ctrl-C too must leave the version that was good in service; it is raised again
        _go_back(environments, good)
        raise
    if reason is not None:
        _go_back(environments, good)
        raise UpgradeError(label, good, reason)
    # In this order: cut off between the two, the new version stays current, and the old one is good for another start.
    environments.end()
    environments.point("good", label)
    units.forget()
    environments.tidy(good)
    yield f"{label} is ready; {good} is kept beside it"


def _good(environments: Environments) -> str:
    """Return the version to go back to; an upgrade that was cut off before is undone first."""
    trial = environments.trial()
    if trial is not None:
        _go_back(environments, trial.good)
    good = environments.named("current")
    if good is None:
        raise InstallError(str(environments.prefix), "an agent made by `fieldfare agent install`", "none")
    return good


def _go_back(environments: Environments, good: str) -> None:
    units = UnitFiles(environments.prefix)
    units.restore()
    environments.point("current", good)
    environments.end()
    units.forget()
    systemd.ask(("systemctl", "reset-failed", UNIT))
    systemd.run(("systemctl", "restart", UNIT))


def _check(folder: Path, user: str) -> None:
    """Have the new version read what the old one left, as the service's user; raise InstallError."""
    command = [str(folder / "bin" / "fieldfare"), "agent", "check", "--config", str(CONFIG_DIR), "--state-dir", str(SERVICE_STATE_DIR)]
    account = pwd.getpwnam(user)
    groups = os.getgrouplist(user, account.pw_gid)
    try:
        subprocess.run(
            command,
            check=True,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=CHECK_S,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=groups,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout).strip().splitlines()[-1:]
        raise InstallError(" ".join(command), "status 0; nothing was switched", f"{error.returncode}: {''.join(last)}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(" ".join(command), "to run; nothing was switched", str(error)) from error


def _try(environments: Environments, label: str, deadline_s: float, was_linked: bool) -> str | None:
    """Start the candidate; return None when it became ready, else why not."""
    environments.point("current", label)
    end_s = time.monotonic() + deadline_s
    systemd.ask(("systemctl", "reset-failed", UNIT))
    systemd.run(("systemctl", "restart", "--no-block", UNIT))
    while True:
        word = _word_of_now()
        seen = systemd.properties(UNIT, "ActiveState", "NRestarts", "ExecMainPID", "Job")
        is_settled = seen["Job"] in {"", "0"}
        restarts = int(seen["NRestarts"] or 0)
        if is_settled or restarts:
            match judge(Sight(seen["ActiveState"], restarts, _is_linked(word)), was_linked):
                case "good":
                    return None
                case "bad":
                    return f"it does not stay up: {systemd.last_words(UNIT)}"
        if time.monotonic() > end_s:
            wanting = "it is up, and does not reach the broker" if seen["ActiveState"] == "active" else "it is not up"
            return f"after {deadline_s:g} s {wanting}: {systemd.last_words(UNIT)}"
        time.sleep(LOOK_S)


def _word_of_now() -> Status | None:
    """Return the status of the very process that is the service now."""
    status = StatusFile(Path(SERVICE_STATE_DIR)).read()
    pid = systemd.properties(UNIT, "MainPID")["MainPID"]
    return status if status is not None and str(status.pid) == pid else None


def _is_linked(word: Status | None) -> bool:
    return word is not None and word.is_linked
