"""Makes and loads signing keys: ed25519 in PEM files, the offline ones apart from those the server uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from fleet.errors import KeyFileError
from fleet.files import write_secret

OFFLINE = ("root", "targets")
ONLINE = ("snapshot", "timestamp", "director")


@dataclass(frozen=True)
class KeyFolder:
    """Where a fleet's keys lie; `offline/` may be moved away once the repository exists."""

    root: Path

    def path_of(self, name: str) -> Path:
        """Return a key's file."""
        return self.root / ("offline" if name in OFFLINE else "online") / f"{name}.pem"

    def make_missing(self, names: tuple[str, ...]) -> None:
        """Generate the keys that do not exist yet."""
        for name in names:
            path = self.path_of(name)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_secret(path, CryptoSigner.generate_ed25519().private_bytes)

    def signer(self, name: str) -> CryptoSigner:
        """Load a key by name; raise KeyFileError."""
        return load_signer(self.path_of(name))


def load_signer(path: Path) -> CryptoSigner:
    """Load an ed25519 key; raise KeyFileError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise KeyFileError(str(path), "no file") from error
    except (ValueError, TypeError) as error:
        raise KeyFileError(str(path), "something else") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(str(path), "a key of another kind")
    return CryptoSigner(key)
