"""Touches the machine that the agent is taken away from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from agent.adapters import systemd
from agent.adapters.installation import id_of
from agent.core.install_plan import COMMAND_LINK, UNIT, RemovalPlan


def remove(removal: RemovalPlan) -> Iterator[str]:
    """Take the agent away, saying each thing that was done; what is gone already is passed over. Raise InstallError."""
    if systemd.properties(UNIT, "LoadState")["LoadState"] == "loaded":
        stop, *later = removal.stop_commands
        yield systemd.run(stop)
        for command in later:
            systemd.ask(command)  # a unit that did not fail has nothing to be reset
    for path in map(Path, removal.paths):
        if path == Path(COMMAND_LINK) and not _is_our_link(path, removal):
            continue
        if _delete(path):
            yield f"removed {path}"
    yield from _keep_or_purge(removal)
    reload, delete_user = removal.user_commands
    yield systemd.run(reload)
    if id_of(Path("/"), "passwd", delete_user[-1]) is not None:
        yield systemd.run(delete_user)
    for folder in map(Path, removal.emptied):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            yield f"removed {folder}"


def _keep_or_purge(removal: RemovalPlan) -> Iterator[str]:
    for folder in map(Path, removal.kept):
        if not folder.is_dir():
            continue
        if removal.is_purge:
            shutil.rmtree(folder)
            yield f"removed {folder}"
        else:
            # Whoever gets the agent's number next must not get its keys.
            os.chown(folder, 0, 0)
            folder.chmod(0o700)
            yield f"kept {folder}, for root alone; --purge removes it"


def _delete(path: Path) -> bool:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        return False
    return True


def _is_our_link(path: Path, removal: RemovalPlan) -> bool:
    return path.is_symlink() and path.readlink().is_relative_to(Path(removal.emptied[-1]))
