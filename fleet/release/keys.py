"""Makes and opens signing keys: ed25519 in PEM files, encrypted wherever a person keeps them, or a PKCS#11 token by its URI."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from fleet.errors.keys import KeyExistsError, KeyFileError
from fleet.files import write_secret, write_whole
from fleet.release.hsm import SCHEME, open_token_key

OFFLINE = ("root", "targets")
ONLINE = ("snapshot", "timestamp", "director")
MAX_KEY_BYTES = 16 * 1024

# Returns the passphrase of a file, or the PIN of a token.
AskSecret = Callable[[str], str]


@dataclass(frozen=True)
class KeyFolder:
    """Where a server's keys lie; `offline/` is only filled when one machine is both office and server, and may be moved away."""

    root: Path

    def path_of(self, name: str) -> Path:
        """Return a key's file."""
        return self.root / ("offline" if name in OFFLINE else "online") / f"{name}.pem"

    def make_missing(self, names: tuple[str, ...]) -> None:
        """Generate the keys that do not exist yet."""
        for name in names:
            if not self.path_of(name).exists():
                _write_plain(self.path_of(name))

    def signer(self, name: str) -> CryptoSigner:
        """Load a key by name; raise KeyFileError."""
        return load_plain(self.path_of(name))

    def next_key(self, name: str) -> Key:
        """Return the public half of the key that waits to take an online key's place, made at the first call."""
        path = self._waiting(name)
        if not path.exists():
            _write_plain(path)
        return load_plain(path).public_key

    def holds(self, name: str, key_ids: Collection[str]) -> bool:
        """Say whether the key in use, or the one that waits, is among those."""
        paths = (self.path_of(name), self._waiting(name))
        return any(path.exists() and load_plain(path).public_key.keyid in key_ids for path in paths)

    def promote(self, name: str, key_ids: Collection[str]) -> None:
        """Use the waiting key if it is among those that are trusted now."""
        path = self._waiting(name)
        if path.exists() and load_plain(path).public_key.keyid in key_ids:
            path.replace(self.path_of(name))

    def _waiting(self, name: str) -> Path:
        return self.path_of(name).with_suffix(".next.pem")


def make_key(path: Path, passphrase: str) -> CryptoSigner:
    """Generate a key for a person: encrypted, its public half beside it as `.pub`; raise KeyExistsError."""
    if path.exists():
        raise KeyExistsError(str(path))
    private = Ed25519PrivateKey.generate()
    encrypted = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
    write_secret(path, encrypted)
    write_whole(path.with_suffix(".pub"), private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return CryptoSigner(private)


def open_key(reference: str, ask: AskSecret) -> Signer:
    """Open a PEM file, or a token such as hsm:2?label=office; raise KeyFileError or TokenError.

    `ask` is called when the file is encrypted, and whenever a token signs.
    """
    if reference.startswith(f"{SCHEME}:"):
        return open_token_key(reference, lambda _what: ask(reference))
    return _load(Path(reference), ask)


def read_public_key(path: Path) -> Key:
    """Read the public half of a key; raise KeyFileError."""
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(str(path), "something else") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(str(path), "a key of another kind")
    return SSlibKey.from_crypto(key)


def load_plain(path: Path) -> CryptoSigner:
    """Load a key that no passphrase protects, because a server must use it unattended; raise KeyFileError."""
    return _load(path, None)


def _load(path: Path, ask: AskSecret | None) -> CryptoSigner:
    raw = _read(path)
    try:
        key = load_pem_private_key(raw, password=None)
    except TypeError as error:  # it is encrypted
        if ask is None:
            raise KeyFileError(str(path), "an encrypted one") from error
        return _of_ed25519(path, _decrypted(path, raw, ask(str(path))))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(str(path), "something else") from error
    return _of_ed25519(path, key)


def _of_ed25519(path: Path, key: object) -> CryptoSigner:
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(str(path), "a key of another kind")
    return CryptoSigner(key)


def _decrypted(path: Path, raw: bytes, passphrase: str) -> object:
    try:
        return load_pem_private_key(raw, password=passphrase.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(str(path), "one that another passphrase opens") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_KEY_BYTES)
    except FileNotFoundError as error:
        raise KeyFileError(str(path), "no file") from error
    except OSError as error:
        raise KeyFileError(str(path), error.strerror or repr(error)) from error


def _write_plain(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_secret(path, CryptoSigner.generate_ed25519().private_bytes)
