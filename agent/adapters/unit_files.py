"""Touches the system's files that belong to a version of the agent: its unit, its user, its folders; those of the version before are kept.

They are kept beside the versions for as long as an upgrade is on trial. Whoever undoes it, the upgrade itself or the guard at the next
start, puts them back.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from agent.adapters import disk, systemd
from agent.core.install_plan import SYSTEM_FILES, UNIT_FILE, Placed, Seat, adopt_commands, system_files
from agent.errors import InstallError

KEPT = "upgrade.units"
ROOT = Path("/")


class UnitFiles:
    """The files of one machine, for the versions under one prefix."""

    def __init__(self, prefix: Path, root: Path = ROOT) -> None:
        """Change the files below `root`; only those of / are told to systemd."""
        self._kept = prefix / KEPT
        self._root = root

    def of_version(self, folder: Path, seat: Seat) -> tuple[Placed, ...]:
        """Return what a version in its environment wants there; nothing for one that does not say."""
        found = {path.name: path.read_text() for path in folder.glob("lib/python3*/site-packages/agent/units/fieldfare-agent.*")}
        return system_files(found, seat, groups(self._root)) if found.keys() >= SYSTEM_FILES.keys() else ()

    def differing(self, wanted: tuple[Placed, ...]) -> tuple[Placed, ...]:
        """Return those that are not as they are wanted."""
        return tuple(placed for placed in wanted if self._read(self._path(placed)) != placed.content)

    def keep(self, changed: tuple[Placed, ...]) -> None:
        """Keep what is there now, if anything is to be another; raise OSError."""
        self.forget()
        if changed:
            disk.make_folder(self._kept)
            for name, path in SYSTEM_FILES.items():
                raw = self._read(self._root / path.relative_to("/"))
                if raw is not None:
                    disk.write_whole(self._kept / name, raw, mode=0o644)

    def renew(self, changed: tuple[Placed, ...]) -> Iterator[str]:
        """Put new files in place, saying which; raise InstallError."""
        for placed in changed:
            try:
                self._path(placed).parent.mkdir(parents=True, exist_ok=True)
                disk.write_whole(self._path(placed), placed.content, mode=placed.mode)
            except OSError as error:
                raise InstallError(str(placed.path), "a place to write", str(error)) from error
            yield f"renewed {placed.path}"
        if changed and self._root == ROOT:
            adopt()
            systemd.verify(Path(UNIT_FILE))

    def restore(self) -> bool:
        """Put back what was kept, and say whether there was anything; may be done twice. Raise InstallError."""
        if not self._kept.is_dir():
            return False
        for name, place in SYSTEM_FILES.items():
            path, raw = self._root / place.relative_to("/"), self._read(self._kept / name)
            try:
                if raw is None:
                    path.unlink(missing_ok=True)
                else:
                    disk.write_whole(path, raw, mode=0o644)
            except OSError as error:
                raise InstallError(str(path), "a place to write", str(error)) from error
        if self._root == ROOT:
            adopt()
        return True

    def forget(self) -> None:
        """Let go of what was kept."""
        shutil.rmtree(self._kept, ignore_errors=True)

    def _path(self, placed: Placed) -> Path:
        return self._root / placed.path.relative_to("/")

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except OSError:
            return None


def adopt() -> None:
    """Have systemd take note of files that have changed; raise InstallError."""
    for command in adopt_commands():
        systemd.run(command)
    systemd.run(("systemctl", "daemon-reload"))


def groups(root: Path) -> frozenset[str]:
    """Return the groups of a machine, or of an image."""
    try:
        return frozenset(line.split(":")[0] for line in (root / "etc/group").read_text().splitlines())
    except OSError:
        return frozenset()  # an empty image
