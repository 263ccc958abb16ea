"""A certificate authority for one run of the tests, which gives everybody a name, as the fleet's own does."""

from __future__ import annotations

import atexit
import shutil
import ssl
import tempfile
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

from agent.adapters.tls import fleet_context
from agent.credential import new_key, request_for
from fleet.authority import Authority
from fleet.certificates import read_request


@cache
def authority() -> Authority:
    """Return the authority that every broker of this run believes; its folder goes with the run."""
    folder = Path(tempfile.mkdtemp(prefix="fieldfare-authority-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Authority(folder, datetime.now(timezone.utc))


def identity_of(name: str, *, by: Authority | None = None, life: timedelta = timedelta(days=1)) -> str:
    """Return a new key, and a certificate by which its owner is `name` towards a broker."""
    key = new_key()
    issued = (by or authority()).issue_client(name, read_request(request_for(key, name)), datetime.now(timezone.utc), life)
    return key + issued.pem


@cache
def server_identity(*names: str) -> Path:
    """Return the file of key and certificate of a broker on this machine, or of one with other names."""
    names = names or ("127.0.0.1", "localhost")
    made = authority().server_identity(names, datetime.now(timezone.utc))
    return made.rename(made.with_name(f"server-{names[0]}.pem"))


def context_of(identity: Path | None, believed: Path | None = None) -> ssl.SSLContext:
    """Return what a client connects with, the same as an agent's."""
    authority_pem = (believed or authority().certificate_file).read_text()
    return fleet_context(authority_pem, identity, lambda: datetime.now(timezone.utc))


@cache
def file_of(name: str) -> Path:
    """Return a file with somebody's identity."""
    file = authority().certificate_file.parent / f"client-{name}.pem"
    file.touch(mode=0o600)
    file.write_text(identity_of(name))
    return file
