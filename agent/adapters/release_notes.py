"""Touches what this device noted about an unpacked release: its proof and its engines, in the release's folder and gone with it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from pydantic import ValidationError

from agent.adapters import disk
from agent.core.engines import DEVICE_FOLDER, ENGINE_LINK, MAX_BUILT_BYTES, EngineRecord
from agent.core.proof import MAX_PROOF_BYTES, Proof
from contracts import codec
from contracts.errors import ContractError
from contracts.small_files import read_bounded

PROOF = "proof.json"
ENGINES = "engines"
RECORD = "record.json"


class ReleaseNotes:
    """Notes on all releases in one folder; everything in it may be lost, and is then made again."""

    def __init__(self, releases: Path) -> None:
        """Keep notes on the releases in `releases`."""
        self._releases = releases

    def proof(self, folder: Path) -> Proof | None:
        """Return the newest proof of a release, None when there is none that can be read."""
        try:
            return Proof.model_validate_json(read_bounded(folder / DEVICE_FOLDER / PROOF, MAX_PROOF_BYTES))
        except (ContractError, OSError, ValidationError):
            return None

    def keep_proof(self, folder: Path, proof: Proof) -> None:
        """Note how a release's golden set went; raise OSError when the disk does not take it."""
        (folder / DEVICE_FOLDER).mkdir(mode=0o750, exist_ok=True)
        disk.write_whole(folder / DEVICE_FOLDER / PROOF, codec.encode(proof))

    def take_engine(self, folder: Path, key: str) -> bool:
        """Have a release use its engine of this key, or one that another release with the same model brought; False when none is whole."""
        for place in (_engines(folder) / key, *self._releases.glob(f"*/{DEVICE_FOLDER}/{ENGINES}/{key}")):
            if _is_whole(place):
                if place.parent != _engines(folder):
                    _adopt(place, folder, key)
                disk.link_to(folder / DEVICE_FOLDER / ENGINE_LINK, f"{ENGINES}/{key}")
                return True
        return False

    def forget_engine(self, folder: Path) -> None:
        """Leave a release without any engine; raise OSError."""
        disk.link_to(folder / DEVICE_FOLDER / ENGINE_LINK, None)
        shutil.rmtree(_engines(folder), ignore_errors=True)

    def begin_engine(self, folder: Path, key: str) -> Path:
        """Return an empty folder to build in; what was built for another platform, or broke off, is removed."""
        if (folder / DEVICE_FOLDER).is_dir():
            disk.link_to(folder / DEVICE_FOLDER / ENGINE_LINK, None)
        shutil.rmtree(_engines(folder), ignore_errors=True)
        building = _building(folder, key)
        building.mkdir(mode=0o750, parents=True)
        return building

    def seal_engine(self, folder: Path, key: str, record: EngineRecord) -> None:
        """Keep what was built, whole or not at all, and have the release use it."""
        building = _building(folder, key)
        files = {str(path.relative_to(building)): _digest(path) for path in sorted(building.rglob("*")) if path.is_file()}
        for name in files:
            disk.sync_file(building / name)
        disk.write_whole(building / RECORD, codec.encode(record.model_copy(update={"files": files})))
        building.rename(_engines(folder) / key)
        disk.sync_folder(_engines(folder))
        disk.link_to(folder / DEVICE_FOLDER / ENGINE_LINK, f"{ENGINES}/{key}")

    def engine_bytes(self) -> int:
        """Return what all engines take, those included that are being built; one that two releases share counts once."""
        sizes: dict[int, int] = {}
        for path in self._releases.glob(f"*/{DEVICE_FOLDER}/{ENGINES}/*/**/*"):
            with contextlib.suppress(FileNotFoundError):  # a builder's temporary file
                found = path.stat()
                sizes[found.st_ino] = found.st_size if path.is_file() else 0
        return sum(sizes.values())

    def usual_build_s(self, model: str, target: str) -> float | None:
        """Return what building took for another release of the model, None when there is none."""
        records = (_record(place) for place in self._releases.glob(f"*/{DEVICE_FOLDER}/{ENGINES}/[!.]*"))
        seconds = (found.seconds for found in records if found is not None and (found.model, found.target) == (model, target))
        return max(seconds, default=None)


def _engines(folder: Path) -> Path:
    return folder / DEVICE_FOLDER / ENGINES


def _building(folder: Path, key: str) -> Path:
    return _engines(folder) / f".{key}.building"


def _adopt(place: Path, folder: Path, key: str) -> None:
    building = _building(folder, key)
    shutil.rmtree(_engines(folder), ignore_errors=True)
    building.parent.mkdir(mode=0o750, parents=True)
    # The same bytes under a second name: a runtime only reads a whole engine.
    shutil.copytree(place, building, copy_function=lambda source, target: Path(target).hardlink_to(source))
    building.rename(_engines(folder) / key)
    disk.sync_folder(_engines(folder))


def _is_whole(place: Path) -> bool:
    record = _record(place)
    if record is None:
        return False
    found = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()} - {RECORD}
    return found == set(record.files) and all(_digest(place / name) == digest for name, digest in record.files.items())


def _record(place: Path) -> EngineRecord | None:
    try:
        return EngineRecord.model_validate_json(read_bounded(place / RECORD, MAX_BUILT_BYTES))
    except (ContractError, OSError, ValidationError):
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return codec.sha256_of_stream(stream)
