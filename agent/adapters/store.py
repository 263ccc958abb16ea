"""Touches the state folder: each model's machine, links and port, and the unpacked releases that they name."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.adapters import disk, release_folder
from agent.adapters.release_folder import Rest
from agent.core.admission import Fit
from agent.core.pieces import WantedFile
from agent.core.retention import Held, Retention, Serving, surplus
from agent.core.update import Update
from agent.errors import StateError
from contracts.errors import ContractError, MissingFileError
from contracts.lifecycle import Phase
from contracts.manifest import Manifest
from contracts.messages import ReleaseRef
from contracts.small_files import read_bounded

MAX_MACHINE_BYTES = 64 * 1024
MACHINE = "update.json"
RECOVERED = "its state on disk could not be read; taken up from its links"

log = logging.getLogger(__name__)
_UPDATE: TypeAdapter[Update] = TypeAdapter(Update)


class StateStore:
    """Everything the agent must not forget; what the disk refuses is a StateError."""

    def __init__(self, root: Path, retention: Retention | None = None) -> None:
        """Make the folders, and clear away what a process that died left half done; a disk that takes nothing more is read all the same."""
        self.root = root
        self._retention = retention or Retention()
        self._releases = root / "releases"
        self._models = root / "models"
        with disk.state_at(root):
            for folder in (self._releases, self._models):
                disk.make_folder(folder)
        try:
            self._clear_up()
        except (OSError, StateError) as error:
            log.error("%s: what was left half done stays so for now: %s", root, error)

    def keep_by(self, retention: Retention) -> None:
        """Keep earlier releases by another policy from the next collection on."""
        self._retention = retention

    def token_file(self) -> Path:
        """Return the file with the token of local callers, made at the first call."""
        path = self.root / "api.token"
        with disk.state_at(path):
            if not path.exists():
                disk.write_whole(path, secrets.token_urlsafe(32).encode() + b"\n", mode=0o600)
        return path

    def shadow_socket(self, model: str) -> Path:
        """Return where a candidate of a model listens for live answers; its folder exists once the model was served."""
        return self.root / "run" / f"{model}.shadow.sock"

    def models(self) -> tuple[str, ...]:
        """Return the models that a machine was ever saved for."""
        with disk.state_at(self._models):
            known = (folder for folder in self._model_folders() if (folder / MACHINE).is_file() or (folder / "current").is_symlink())
            return tuple(sorted(folder.name for folder in known))

    def load(self, model: str) -> Update:
        """Return a model's machine; of a damaged one what its links name, because the fleet's wish is heard again."""
        try:
            return self._read(model)
        except (ContractError, ValidationError) as error:
            current, previous = self._linked(model, "current"), self._linked(model, "previous")
            if current is None:
                return Update()
            log.warning("%s: %s; %s", model, error, RECOVERED)
            return Update(phase=Phase.COMMITTED, current=current, previous=previous, reason=RECOVERED)

    def save(self, model: str, update: Update) -> None:
        """Remember a machine, then make the links agree with it."""
        folder = self._models / model
        with disk.state_at(folder):
            if not folder.is_dir():
                disk.make_folder(folder)
            disk.write_whole(folder / MACHINE, _UPDATE.dump_json(update))
            self._link(model, update)

    def load_port(self, model: str) -> int | None:
        """Return the port a model was served on last."""
        try:
            return int((self._models / model / "port").read_text())
        except (OSError, ValueError):
            return None

    def save_port(self, model: str, port: int) -> None:
        """Remember the port, because callers do."""
        folder = self._models / model
        if self.load_port(model) == port:
            return
        with disk.state_at(folder):
            disk.make_folder(folder)
            disk.write_whole(folder / "port", str(port).encode())

    @property
    def releases(self) -> Path:
        """Return where all unpacked releases lie."""
        return self._releases

    def release_dir(self, digest: str) -> Path:
        """Return where a release lies once it is unpacked."""
        return self._releases / digest

    def check(self, digest: str, fit: Fit) -> Manifest:
        """Read an unpacked release, every byte checked; raise a ContractError naming the file that is wrong or missing."""
        return release_folder.check(self.release_dir(digest), fit)

    def glance(self, digest: str, fit: Fit) -> Manifest:
        """Check an unpacked release's manifest and sizes only; raise as `check`."""
        return release_folder.glance(self.release_dir(digest), fit)

    def damaged(self, digest: str, fit: Fit, rest: Rest = time.sleep) -> dict[str, WantedFile]:
        """Return by path which files of a release have to be fetched again; raise ContractError when that cannot be told."""
        with disk.state_at(self.release_dir(digest)):
            return release_folder.damaged(self.release_dir(digest), fit, rest)

    def mend(self, digest: str, path: str, source: Path) -> None:
        """Put a file that was fetched again in its place."""
        place = self.release_dir(digest) / path
        with disk.state_at(place):
            disk.make_folder(place.parent)
            disk.put_in_place(source, place)

    def held(self, model: str, path: str) -> dict[str, Path]:
        """Return by digest what the unpacked releases of a model have at a path; the bytes are not checked."""
        with disk.state_at(self._releases):
            return {
                manifest.files[path].sha256: folder / path
                for folder, manifest in self._unpacked()
                if manifest.name == model and path in manifest.files and (folder / path).is_file()
            }

    def copies(self, digests: frozenset[str]) -> list[tuple[str, Path]]:
        """Return where unpacked releases of any model have files of these digests; the bytes are not checked."""
        with disk.state_at(self._releases):
            return [
                (entry.sha256, folder / path)
                for folder, manifest in self._unpacked()
                for path, entry in manifest.files.items()
                if entry.sha256 in digests and (folder / path).is_file()
            ]

    def stage(self, digest: str, manifest: bytes, files: Mapping[str, Path]) -> None:
        """Put a release together from fetched files, whole or not at all; a release that is there already is replaced."""
        with disk.state_at(self.release_dir(digest)):
            release_folder.build(self.release_dir(digest), manifest, files)

    def collect(self, *, keep_earlier: bool = True) -> None:
        """Remove releases that no slot names, but for earlier ones that stay for a while; what is being unpacked has a name with a dot."""
        machines = {model: self.load(model) for model in self.models()}
        needed = frozenset[str]().union(*(machine.needed for machine in machines.values()))
        with disk.state_at(self._releases):
            folders = [folder for folder in self._releases.iterdir() if not folder.name.startswith(".")]
            gone = {folder.name for folder in folders if folder.name not in needed}
            if keep_earlier:
                spare = [
                    Held(folder.name, manifest.name, manifest.release, release_folder.size_of(folder))
                    for folder, manifest in self._unpacked()
                    if folder.name in gone
                ]
                slots_bytes = sum(release_folder.size_of(folder) for folder in folders if folder.name in needed)
                serving = {
                    model: Serving(machine.current.release, machine.previous is not None)
                    for model, machine in machines.items()
                    if machine.current is not None
                }
                gone -= {held.digest for held in spare} - set(surplus(spare, slots_bytes, serving, self._retention))
            for digest in gone:
                release_folder.remove(self.release_dir(digest))

    def free_bytes(self) -> int:
        """Return how much more the disk takes."""
        with disk.state_at(self.root):
            return shutil.disk_usage(self.root).free

    def _clear_up(self) -> None:
        release_folder.sweep(self._releases)
        for leftover in self._models.glob("*/.*.new"):
            leftover.unlink()
        # What an earlier process saved and we now read may be on its way to the disk still; we are about to act on it.
        for folder in (self._releases, self._models, *self._model_folders()):
            disk.sync_folder(folder)
        for model in self.models():
            self._take_up(model)

    def _take_up(self, model: str) -> None:
        try:
            self._link(model, self._read(model))
        except (ContractError, ValidationError):
            self.save(model, self.load(model))

    def _read(self, model: str) -> Update:
        """Return a model's machine; raise a ContractError or ValidationError when it is damaged, StateError when it cannot be read now."""
        place = self._models / model / MACHINE
        try:
            return _UPDATE.validate_json(read_bounded(place, MAX_MACHINE_BYTES))
        except OSError as error:
            reason = error.strerror or repr(error)
            raise (MissingFileError(str(place)) if error.errno in disk.DAMAGE else StateError(str(place), reason)) from error

    def _link(self, model: str, update: Update) -> None:
        folder = self._models / model
        targets = {name: None if digest is None else f"../../releases/{digest}" for name, digest in update.slots.named().items()}
        has_changed = [disk.point(folder / name, target) for name, target in targets.items()]
        if any(has_changed):
            disk.sync_folder(folder)

    def _unpacked(self) -> Iterator[tuple[Path, Manifest]]:
        for folder in sorted(self._releases.iterdir()):
            if not folder.name.startswith("."):
                try:
                    yield folder, release_folder.read_manifest(folder)
                except (ContractError, StateError):
                    continue  # it gives nothing, and goes when no slot names it

    def _model_folders(self) -> list[Path]:
        return [folder for folder in self._models.iterdir() if folder.is_dir()]

    def _linked(self, model: str, slot: str) -> ReleaseRef | None:
        try:
            digest = (self._models / model / slot).readlink().name
            manifest = release_folder.read_manifest(self.release_dir(digest))
        except (OSError, ContractError):
            return None
        return ReleaseRef(model=manifest.name, release=manifest.release, manifest_sha256=digest)
