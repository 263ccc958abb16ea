"""Names the REST API of a cluster of EMQX brokers; its key is read from a file that nobody else may read."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

from contracts.small_files import read_bounded
from fleet.errors.server import BrokerApiKeyError

MAX_KEY_BYTES = 1024


@dataclass(frozen=True)
class Api:
    """Where it is, and the key and secret that it gave us."""

    url: str
    key: str
    secret: str = field(repr=False)

    @classmethod
    def read(cls, url: str, file: Path) -> Api:
        """Read `KEY:SECRET` from a file that others may not read; raise BrokerApiKeyError."""
        line = read_bounded(file, MAX_KEY_BYTES).decode(errors="replace").strip()
        if file.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise BrokerApiKeyError(str(file), "a file that others may read or write; run: chmod 600")
        key, _, secret = line.partition(":")
        if not key or not secret or "\n" in line:
            raise BrokerApiKeyError(str(file), "something else")
        return cls(url.rstrip("/"), key, secret)
