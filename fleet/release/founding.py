"""Begins a fleet: the first root, targets and director file, made where the offline keys are, and handed to a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.exceptions import LengthOrHashMismatchError, UnsignedMetadataError
from tuf.api.metadata import Root, Targets

from contracts import codec
from contracts.errors import MissingFileError
from contracts.small_files import read_bounded
from contracts.trust import DIRECTOR_TARGET, MAX_TRUST_FILE_BYTES, DirectorKeys
from fleet.errors.keys import ForeignTrustError
from fleet.files import write_secret, write_whole
from fleet.release import metadata
from fleet.release.keys import ONLINE, KeyFolder, load_plain
from fleet.release.metadata import RoleKeys

FIRST_ROOT, FIRST_TARGETS = "1.root.json", "1.targets.json"
PUBLIC = (FIRST_ROOT, FIRST_TARGETS, DIRECTOR_TARGET)


@dataclass(frozen=True)
class Office:
    """The offline keys of one role, all at hand, and how many must sign."""

    signers: Sequence[Signer]
    threshold: int = 1

    @property
    def keys(self) -> RoleKeys:
        """Their public halves."""
        return RoleKeys(tuple(signer.public_key for signer in self.signers), self.threshold)


def found(root: Office, targets: Office, online: Mapping[str, Signer], now: datetime) -> dict[str, bytes]:
    """Return the first metadata by file name; raise ThresholdError."""
    roles = {name: RoleKeys((signer.public_key,)) for name, signer in online.items()}
    first = metadata.new_root({**roles, "root": root.keys, "targets": targets.keys}, now)
    director, content = metadata.director_file(online["director"].public_key)
    listed = metadata.new_targets(1, {DIRECTOR_TARGET: director}, None, now)
    return {
        FIRST_ROOT: metadata.sign(first, *root.signers),
        FIRST_TARGETS: metadata.sign(listed, *targets.signers),
        DIRECTOR_TARGET: content,
    }


def write_server_folder(folder: Path, root: Office, targets: Office, now: datetime) -> None:
    """Write what a server begins with: new online keys, and the metadata that names them."""
    online = {name: CryptoSigner.generate_ed25519() for name in ONLINE}
    files = found(root, targets, online, now)
    folder.mkdir(parents=True, mode=0o700)
    for name, signer in online.items():
        write_secret(folder / f"{name}.pem", signer.private_bytes)
    for name, content in files.items():
        write_whole(folder / name, content)


def take_over(source: Path, trust: Path, keys: KeyFolder) -> None:
    """Copy a server folder's keys and metadata into this server's own; raise ForeignTrustError unless they fit together."""
    try:
        files = {name: read_bounded(source / name, MAX_TRUST_FILE_BYTES) for name in PUBLIC}
        online = {name: read_bounded(source / f"{name}.pem", MAX_TRUST_FILE_BYTES) for name in ONLINE}
    except MissingFileError as error:
        raise ForeignTrustError(str(source), " ".join((*PUBLIC, *(f"{name}.pem" for name in ONLINE))), str(error)) from error
    _check_signatures(source, files)
    for name, key_ids in _key_ids(files):
        if load_plain(source / f"{name}.pem").public_key.keyid not in key_ids:
            raise ForeignTrustError(str(source), f"{name}.pem to be the key that the metadata names", "another")
    for name, raw in online.items():
        write_secret(keys.path_of(name), raw)
    for name, raw in files.items():
        write_whole(trust / name, raw)


def check_same(source: Path, first_root: bytes) -> None:
    """Raise ForeignTrustError unless a server folder begins the fleet that this server already serves."""
    try:
        found_root = read_bounded(source / FIRST_ROOT, MAX_TRUST_FILE_BYTES)
    except MissingFileError as error:
        raise ForeignTrustError(str(source), FIRST_ROOT, "none") from error
    if found_root != first_root:
        raise ForeignTrustError(str(source), "the root that this server began with", "another fleet's")


def _check_signatures(source: Path, files: Mapping[str, bytes]) -> None:
    root, targets = metadata.read(Root, files[FIRST_ROOT]), metadata.read(Targets, files[FIRST_TARGETS])
    try:
        root.signed.verify_delegate("root", root.signed_bytes, root.signatures)
        root.signed.verify_delegate("targets", targets.signed_bytes, targets.signatures)
        targets.signed.targets[DIRECTOR_TARGET].verify_length_and_hashes(files[DIRECTOR_TARGET])
    except (UnsignedMetadataError, KeyError, LengthOrHashMismatchError) as error:
        raise ForeignTrustError(str(source), "metadata signed by its own root", f"{error}") from error


def _key_ids(files: Mapping[str, bytes]) -> Iterator[tuple[str, Sequence[str]]]:
    root = metadata.read(Root, files[FIRST_ROOT]).signed
    for name in ("snapshot", "timestamp"):
        yield name, root.roles[name].keyids
    yield "director", director_key_ids(files[DIRECTOR_TARGET])


def director_key_ids(content: bytes) -> tuple[str, ...]:
    """Return the ids of the keys that a director file names; raise InvalidDocumentError."""
    return tuple(codec.decode(DirectorKeys, content, name=DIRECTOR_TARGET, max_bytes=MAX_TRUST_FILE_BYTES).keys)
