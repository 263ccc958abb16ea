"""The fleet's certificate authority: touches its folder, with the root that signs, and beside it the next while one succeeds the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from fleet.certificates import CURVE, Request, Root, key_of, new_root, private_pem
from fleet.core.enrolment import Issued
from fleet.errors.server import ForeignAuthorityError, NoSuccessionError, SuccessionError
from fleet.files import write_secret, write_whole
from fleet.own_lines import line_file, line_name


@dataclass(frozen=True)
class Successor:
    """The root that takes over, and the word of the one before for it."""

    root: Root
    voucher: str


class Authority:
    """Who signs certificates; its keys never leave the server's folder.

    It changes in three steps: `succeed` makes the next root beside the present one; devices learn of it and come to be known by it;
    `retire` notes that the present one shall go, which happens when the folder is opened again.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        """Open the authority in `folder`, or found it; raise ForeignAuthorityError when key and certificate do not fit."""
        self._folder = folder
        self.certificate_file = folder / "ca.pem"
        self._key_file = folder / "ca.key"
        self._next_key_file, self._next_file, self._voucher_file = folder / "next.key", folder / "next.pem", folder / "voucher.pem"
        self._retiring_file = folder / "retiring"
        if not self.certificate_file.exists():  # the last of the two that is written
            key, certificate = new_root(now)
            write_secret(self._key_file, key)
            write_whole(self.certificate_file, certificate)
        if self._retiring_file.exists():
            self._take_over()
        self._root = _open(self._key_file, self.certificate_file)
        self.successor: Successor | None = None
        self.follow()

    @property
    def pem(self) -> str:
        """The certificate of the root that the server itself is known by."""
        return self._root.pem

    @property
    def fingerprint(self) -> str:
        """Its hex SHA-256 in DER, which every enrolment token carries."""
        return self._root.fingerprint

    @property
    def ends_at(self) -> datetime:
        """When it ends."""
        return self._root.ends_at

    @property
    def is_retiring(self) -> bool:
        """Say whether the present root goes at the next start."""
        return self._retiring_file.exists()

    def follow(self) -> None:
        """Read what another server of the same folder may have begun."""
        if self.successor is None and self._next_file.exists():  # the last of the three that is written
            self.successor = Successor(_open(self._next_key_file, self._next_file), self._voucher_file.read_text())

    def succeed(self, now: datetime) -> Successor:
        """Make the next root; raise SuccessionError while there is one."""
        self.follow()
        if self.successor is not None:
            raise SuccessionError(self.successor.root.fingerprint)
        key, certificate = new_root(now)
        following = Root(key, certificate, str(self._next_file))
        successor = Successor(following, self._root.vouch_for(following, now))
        write_secret(self._next_key_file, key)
        write_whole(self._voucher_file, successor.voucher.encode())
        write_whole(self._next_file, certificate)
        self.successor = successor
        return successor

    def retire(self) -> None:
        """Let the present root go at the next start; raise NoSuccessionError where nothing follows it."""
        self.follow()
        if self.successor is None:
            raise NoSuccessionError
        write_whole(self._retiring_file, b"")

    def issue_client(self, name: str, request: Request, now: datetime, life: timedelta, believed: str | None = None) -> Issued:
        """Sign a device's key, by the next root for one that says that it believes that one."""
        follows = self.successor is not None and self.successor.root.fingerprint == believed
        root = self.successor.root if self.successor is not None and follows else self._root
        return root.client(name, request.key, now, now + life)

    def own_client(self, name: str, now: datetime) -> Path:
        """Return the file of key and certificate by which a part of the fleet itself is `name` towards the broker.

        It lives as long as the root beside whose key it lies: a shorter life would protect nothing. Under another root it has the
        same key, and the same line at the broker, where messages wait for it.
        """
        file = self._folder / f"{name}.pem"
        before = file.read_bytes() if file.exists() else None
        if before is not None and self._root.has_signed(before):
            return file
        key = key_of(before) if before else ec.generate_private_key(CURVE())
        if before and not (line := line_file(file)).exists():
            write_secret(line, line_name(file).encode())
        write_secret(file, private_pem(key) + self._root.client(name, key.public_key(), now, self._root.ends_at).pem.encode())
        return file

    def server_identity(self, names: Sequence[str], now: datetime) -> Path:
        """Return a new file of key and certificate for broker and API, valid for these host names and addresses."""
        file = self._folder / "server.pem"
        write_secret(file, self._root.server(names, now))
        return file

    def revocation_list(self, serials: Sequence[str], now: datetime) -> bytes:
        """Sign the list of certificates that are good no more, by every root: each is asked about its own."""
        roots = (self._root, *((self.successor.root,) if self.successor else ()))
        return b"".join(root.revocation_list(serials, now) for root in roots)

    def _take_over(self) -> None:
        """Put the next root in the place of the present one; may be cut off anywhere, and run again."""
        if self._next_file.exists():
            write_secret(self._key_file, self._next_key_file.read_bytes())
            write_whole(self.certificate_file, self._next_file.read_bytes())
        for file in (self._next_file, self._next_key_file, self._voucher_file, self._retiring_file):
            file.unlink(missing_ok=True)


def _open(key_file: Path, certificate_file: Path) -> Root:
    try:
        return Root(key_file.read_bytes(), certificate_file.read_bytes(), str(certificate_file))
    except OSError as error:
        raise ForeignAuthorityError(str(certificate_file), f"{error}"[:200]) from error
