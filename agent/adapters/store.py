"""Touches the state folder: unpacked releases by digest, and each model's links, machine and port."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.adapters import disk
from agent.core.admission import Fit
from agent.core.update import Update
from agent.errors import StateError
from contracts import codec
from contracts.bundle import MANIFEST, check_files, read_bounded
from contracts.errors import ContractError, TamperedError
from contracts.manifest import MAX_MANIFEST_BYTES, Manifest, decode_manifest

MAX_MACHINE_BYTES = 64 * 1024
_UPDATE: TypeAdapter[Update] = TypeAdapter(Update)


class StateStore:
    """Everything the agent must not forget."""

    def __init__(self, root: Path) -> None:
        """Make the folders; raise StateError when that cannot be done."""
        self.root = root
        self._releases = root / "releases"
        self._models = root / "models"
        try:
            root.mkdir(mode=0o750, parents=True, exist_ok=True)
            for folder in (self._releases, self._models):
                folder.mkdir(mode=0o750, exist_ok=True)
            for leftover in self._releases.glob(".*.building"):
                shutil.rmtree(leftover)
        except OSError as error:
            raise StateError(str(root), error.strerror or repr(error)) from error

    def token_file(self) -> Path:
        """Return the file with the token of local callers, made at the first call."""
        path = self.root / "api.token"
        if not path.exists():
            disk.write_whole(path, secrets.token_urlsafe(32).encode() + b"\n", mode=0o600)
        return path

    def models(self) -> tuple[str, ...]:
        """Return the models that a machine was ever saved for."""
        return tuple(sorted(path.parent.name for path in self._models.glob("*/update.json")))

    def load(self, model: str) -> Update:
        """Return a model's machine; one that cannot be read counts as new, because the fleet's wish is heard again."""
        try:
            return _UPDATE.validate_json(read_bounded(self._models / model / "update.json", MAX_MACHINE_BYTES))
        except (ContractError, ValidationError):
            return Update()

    def save(self, model: str, update: Update) -> None:
        """Remember a machine, then make the links agree with it."""
        folder = self._models / model
        folder.mkdir(mode=0o750, exist_ok=True)
        disk.write_whole(folder / "update.json", _UPDATE.dump_json(update))
        for name, digest in update.slots.named().items():
            disk.link_to(folder / name, None if digest is None else f"../../releases/{digest}")

    def load_port(self, model: str) -> int | None:
        """Return the port a model was served on last."""
        try:
            return int((self._models / model / "port").read_text())
        except (OSError, ValueError):
            return None

    def save_port(self, model: str, port: int) -> None:
        """Remember the port, because callers do."""
        (self._models / model).mkdir(mode=0o750, exist_ok=True)
        disk.write_whole(self._models / model / "port", str(port).encode())

    @property
    def releases(self) -> Path:
        """Return where all unpacked releases lie."""
        return self._releases

    def release_dir(self, digest: str) -> Path:
        """Return where a release lies once it is unpacked."""
        return self._releases / digest

    def check(self, digest: str, fit: Fit) -> Manifest:
        """Read an unpacked release, every byte checked; raise a ContractError naming the file that is wrong or missing."""
        folder = self.release_dir(digest)
        raw = read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES)
        if codec.sha256_of(raw) != digest:
            raise TamperedError(str(folder / MANIFEST), digest, codec.sha256_of(raw))
        manifest = decode_manifest(raw, str(folder / MANIFEST))
        target = fit.target_of(manifest)
        check_files(folder, manifest, () if target is None else manifest.paths_for(target))
        return manifest

    def held(self, model: str, path: str) -> dict[str, Path]:
        """Return by digest what the unpacked releases of a model have at a path; the bytes are not checked."""
        found = {}
        for release in sorted(self.load(model).needed):
            folder = self.release_dir(release)
            try:
                manifest = decode_manifest(read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES))
            except ContractError:
                continue
            if path in manifest.files and (folder / path).is_file():
                found[manifest.files[path].sha256] = folder / path
        return found

    def stage(self, digest: str, manifest: bytes, files: Mapping[str, Path]) -> None:
        """Put a release together from fetched files, whole or not at all; a release that is there already is replaced."""
        folder = self.release_dir(digest)
        building = self._releases / f".{digest}.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o750)
        for path, source in files.items():
            place = building / path
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, place)
        disk.write_whole(building / MANIFEST, manifest)
        for inner in (path for path in building.rglob("*") if path.is_dir()):
            disk.sync_folder(inner)
        if folder.exists():
            shutil.rmtree(folder)
        building.rename(folder)
        disk.sync_folder(self._releases)

    def collect(self) -> None:
        """Remove the releases that no model needs; what is being unpacked just now has a name with a dot."""
        kept = frozenset[str]().union(*(self.load(model).needed for model in self.models()))
        for folder in self._releases.iterdir():
            if folder.name not in kept and not folder.name.startswith("."):
                shutil.rmtree(folder)
        disk.sync_folder(self._releases)

    def free_bytes(self) -> int:
        """Return how much more the disk takes."""
        return shutil.disk_usage(self.root).free
