"""Decides who may say what to the broker: hashed passwords, and the rules for each user."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from contracts.topics import CHUNKS, DOWNLINKS, PREFIX, TRUST, UPLINKS

FLEET_USER = "fleet"
VIEWER_USER = "viewer"
SALT_BYTES = 12
# Passwords are 256 random bits: rounds add nothing but the broker's time at each connection.
ROUNDS = 101


def password_hash(password: str, salt: bytes) -> str:
    """Return mosquitto's `$7$` form: PBKDF2 with SHA-512."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def is_password(password: str, hashed: str) -> bool:
    """Say whether a password is the one that a hash was made of."""
    salt = base64.b64decode(hashed.split("$")[3])
    return hmac.compare_digest(password_hash(password, salt), hashed)


def password_file(hashes: Mapping[str, str]) -> str:
    """Return the broker's password file."""
    return "".join(f"{user}:{hashed}\n" for user, hashed in sorted(hashes.items()))


def acl_file() -> str:
    """Return the broker's rules; `%u` is the user, which for a device is its id.

    Patterns bind every user, so the trees that all may read are patterns too, although they name nobody.
    """
    lines = [
        f"user {FLEET_USER}",
        f"topic readwrite {PREFIX}/#",
        "",
        f"user {VIEWER_USER}",
        f"topic read {PREFIX}/#",
        "",
        *(f"pattern write {PREFIX}/%u/{leaf}" for leaf in UPLINKS),
        f"pattern write {PREFIX}/%u/command/+/result",
        *(f"pattern read {PREFIX}/%u/{leaf}" for leaf in DOWNLINKS),
        f"pattern read {PREFIX}/%u/command/#",
        f"pattern read {PREFIX}/%u/chunk/#",
        f"pattern read {CHUNKS}/#",
        f"pattern read {TRUST}/#",
    ]
    return "\n".join(lines) + "\n"
