"""Carries a change to its end: hands it in once enough keys have signed it, or writes it to a file for the next key holder."""

from __future__ import annotations

from pathlib import Path

import typer
from securesystemslib.signer import Signer

from contracts import codec
from contracts.errors import MissingFileError, TamperedError
from contracts.small_files import read_bounded
from contracts.trust import DIRECTOR_TARGET, MAX_TRUST_FILE_BYTES, DirectorKeys, team_role
from fleet.cli.client import ApiClient
from fleet.errors.client import RefusedError
from fleet.errors.keys import NoPendingError, PendingExistsError
from fleet.files import write_whole
from fleet.release.keys import AskSecret, open_key
from fleet.release.pending import MAX_PENDING_BYTES, Pending, missing
from fleet.release.signing import Published
from fleet.requests.releases import TrustVersions
from fleet.views.releases import ReleaseView

NOT_FOUND = 404


def open_keys(references: list[str] | None, default: Path, ask: AskSecret) -> dict[str, Signer]:
    """Open the keys that were named, or the one in the server's folder; raise KeyFileError or TokenError."""
    return {reference: open_key(reference, ask) for reference in references or [str(default)]}


def read_pending(file: Path) -> Pending:
    """Read a change that waits; raise NoPendingError, TooLargeError or InvalidDocumentError."""
    try:
        raw = read_bounded(file, MAX_PENDING_BYTES)
    except MissingFileError as error:
        raise NoPendingError(str(file)) from error
    return codec.decode(Pending, raw, name=str(file), max_bytes=MAX_PENDING_BYTES)


def check_free(file: Path) -> None:
    """Raise PendingExistsError where another change waits, whose signatures would be lost."""
    if file.exists():
        raise PendingExistsError(str(file))


def write_pending(pending: Pending, file: Path) -> None:
    """Write a change down, in place of the same with fewer signatures."""
    write_whole(file, codec.encode(pending))


def say_what_lacks(pending: Pending, file: Path) -> None:
    """Tell who must sign next, or that it can be handed in."""
    lacks = missing(pending)
    for line in lacks:
        typer.echo(f"to be signed: {line}")
    typer.echo(f"next: fieldfare keys sign {file}" + (" --key KEY" if lacks else ""))


def hand_in(api: ApiClient, pending: Pending, file: Path) -> None:
    """Give a change that is signed to the server, and remove its file; it stays when the server does not take it."""
    if pending.release is not None:
        release = api.post("releases", pending.release, ReleaseView)
        typer.echo(f"released {release.ref.model} {release.ref.release} for {', '.join(release.targets)}")
    else:
        versions = api.post("trust", pending.change, TrustVersions)
        typer.echo(f"the fleet follows root {versions.root} and targets {versions.targets}")
    file.unlink()


def fetch_director(api: ApiClient, listed: str) -> tuple[str, ...]:
    """Return the ids of the director's keys; raise TamperedError unless their file has the digest that the signed list names."""
    raw = api.fetch(f"trust/{DIRECTOR_TARGET}")
    if listed != codec.sha256_of(raw):
        raise TamperedError(DIRECTOR_TARGET, listed, codec.sha256_of(raw))
    return tuple(codec.decode(DirectorKeys, raw, name=DIRECTOR_TARGET, max_bytes=MAX_TRUST_FILE_BYTES).keys)


def fetch_published(api: ApiClient, model: str | None = None) -> Published:
    """Return what the server says of its trust, with the list of a model's team."""
    team = None
    if model is not None:
        try:
            team = api.fetch(f"trust/{team_role(model)}.json")
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
    return Published(api.fetch("trust/root.json"), api.fetch("trust/targets.json"), team)
