"""Seals what is kept for somebody with his own token, of which the server keeps a digest alone: a stolen database gives nothing away."""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fleet.errors.store import UnsealableError

NONCE_BYTES = 12
_PURPOSE = b"fieldfare kept answer 1"


def owner_of(token: str) -> str:
    """Return under which name things of a token are kept."""
    return hashlib.sha256(b"owner " + token.encode()).hexdigest()


def seal(token: str, about: str, plain: bytes) -> bytes:
    """Return the bytes sealed by AES-256-GCM under a key from the token (HKDF, RFC 5869), bound to what they are about."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(_key(token)).encrypt(nonce, plain, about.encode())


def unseal(token: str, about: str, sealed: bytes) -> bytes:
    """Return what was sealed; raise UnsealableError."""
    try:
        return AESGCM(_key(token)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
    except InvalidTag as error:
        raise UnsealableError(about) from error


def _key(token: str) -> bytes:
    return HKDF(SHA256(), 32, None, _PURPOSE).derive(token.encode())
