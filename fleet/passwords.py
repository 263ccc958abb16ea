"""Keeps passwords as scrypt keys, one at a time: each takes 32 MB and a quarter of a second, which a flood of logins must not multiply."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.errors.people import PasswordError, TooBusyError

MIN_CHARS = 12
MAX_BYTES = 1024
# OWASP's second setting for scrypt: 32 MB, and three times over in the place of more.
COST_LOG2, BLOCK, PARALLEL = 15, 8, 3
MAX_MEMORY = 64 << 20
SALT_BYTES = KEY_BYTES = 32
PATIENCE_S = 10.0


class Passwords:
    """One for each server."""

    def __init__(self, cost_log2: int = COST_LOG2) -> None:
        """Keep new passwords at this cost; those that were kept at another stay good."""
        self._cost_log2 = cost_log2
        self._turn = threading.Lock()
        # What unknown names are checked against, so that they take as long as known ones.
        self._nobody = self._written(secrets.token_bytes(SALT_BYTES), secrets.token_bytes(KEY_BYTES))

    def kept(self, password: str) -> str:
        """Return what is stored of a new password; raise PasswordError or TooBusyError."""
        raw = _normal(password)
        if len(raw.decode()) < MIN_CHARS:
            raise PasswordError(f"at least {MIN_CHARS} characters", f"{len(raw.decode())}")
        if len(raw) > MAX_BYTES:
            raise PasswordError(f"at most {MAX_BYTES} bytes", f"{len(raw)}")
        salt = secrets.token_bytes(SALT_BYTES)
        with self._alone():
            key = _key(raw, salt, self._cost_log2, BLOCK, PARALLEL)
        return self._written(salt, key)

    def is_right(self, kept: str | None, password: str) -> bool:
        """Say whether a password is the kept one, after the same time for None, which nobody's is; raise TooBusyError."""
        _, cost, block, parallel, salt, key = (kept or self._nobody).split("$")
        raw = _normal(password)[: MAX_BYTES + 1]
        with self._alone():
            found = _key(raw, base64.b64decode(salt), int(cost), int(block), int(parallel))
        return hmac.compare_digest(found, base64.b64decode(key)) and kept is not None

    def _written(self, salt: bytes, key: bytes) -> str:
        return "$".join(("scrypt", str(self._cost_log2), str(BLOCK), str(PARALLEL), _text(salt), _text(key)))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=PATIENCE_S):
            raise TooBusyError
        try:
            yield
        finally:
            self._turn.release()


def _normal(password: str) -> bytes:
    """The same characters from any keyboard: NFKC, as RFC 8265 has it; what is no text becomes question marks."""
    return unicodedata.normalize("NFKC", password[: MAX_BYTES + 1]).encode(errors="replace")


def _key(raw: bytes, salt: bytes, cost_log2: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(raw, salt=salt, n=1 << cost_log2, r=block, p=parallel, maxmem=MAX_MEMORY, dklen=KEY_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
