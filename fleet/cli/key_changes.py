"""`fieldfare keys rotate`, `delegate` and `sign`: put other keys in a role's place, and gather the signatures that this takes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel

from contracts.names import ModelName
from fleet.cli.client import ApiClient, connected, request
from fleet.cli.options import DEFAULT_PENDING, Folder, KeysToSignWith, PendingFile
from fleet.cli.passphrases import Asker, PassphraseFd, PassphraseFile, asker
from fleet.files import check_empty
from fleet.home import Home, default_folder
from fleet.requests.releases import OnlineKey

if TYPE_CHECKING:  # the command tree is built without cryptography
    from securesystemslib.signer import Key, Signer

    from fleet.release.pending import Pending


class TeamModel(BaseModel, frozen=True):
    """A model, as it may be named in metadata."""

    model: ModelName


class RotatedRole(str, Enum):
    """The roles whose keys can be replaced."""

    ROOT = "root"
    TARGETS = "targets"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"
    DIRECTOR = "director"

    @property
    def is_offline(self) -> bool:
        """Whether its keys are kept by people."""
        return self in (RotatedRole.ROOT, RotatedRole.TARGETS)


def rotate(
    role: Annotated[RotatedRole, typer.Argument(help="Whose keys to replace.")],
    key: KeysToSignWith = None,
    out: Annotated[Path | None, typer.Option(help="For root and targets: folder for the new keys, empty or missing.")] = None,
    replace: Annotated[list[str] | None, typer.Option(help="For root and targets: the beginning of the id of a key that goes.")] = None,
    count: Annotated[int | None, typer.Option(min=0, max=16, show_default="as many as go", help="How many new keys.")] = None,
    threshold: Annotated[int | None, typer.Option(min=1, max=16, show_default="as before", help="How many must sign.")] = None,
    pending: PendingFile = DEFAULT_PENDING,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Replace a role's keys: those of root, targets, snapshot and timestamp by root keys, the director's by release keys."""
    from fleet.cli import pending_file
    from fleet.release import rotation

    if role.is_offline != (out is not None):
        raise typer.BadParameter("--out is for new root and targets keys; the server makes the others itself")
    if not role.is_offline and (replace or count is not None or threshold is not None):
        raise typer.BadParameter(
            "--replace, --count and --threshold are for root and targets; the server holds one key for each other role"
        )
    pending_file.check_free(pending)
    ask = asker(passphrase_file, passphrase_fd)
    signer = "targets" if role is RotatedRole.DIRECTOR else "root"
    with connected(folder) as api:
        published = pending_file.fetch_published(api)
        signers = pending_file.open_keys(key, _default_key(folder, signer), ask)
        if role is RotatedRole.DIRECTOR:
            change = rotation.rotate_director(published, _next_online_key(api, role), _now())
        else:
            gone = rotation.leaving(published.read()[0].signed, role.value, replace or ())
            made = {} if out is None else _make_keys(out, role, len(gone) if count is None else count, ask)
            fresh = tuple(each.public_key for each in made.values()) if out is not None else (_next_online_key(api, role),)
            change = rotation.rotate(published, role.value, rotation.Succession(fresh, gone, threshold), _now())
            signers |= made
        _sign_and_go_on(api, change, signers, pending)


def delegate(
    model: Annotated[str, typer.Argument(help="The model whose releases a team may sign, and nothing else.")],
    team_key: Annotated[list[Path] | None, typer.Option(help="A member's .pub file; without any the delegation ends.")] = None,
    threshold: Annotated[int, typer.Option(min=1, max=16, help="How many members must sign.")] = 1,
    key: KeysToSignWith = None,
    pending: PendingFile = DEFAULT_PENDING,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Let a team sign the releases of one model with keys of its own, in place of the team before."""
    from fleet.cli import pending_file
    from fleet.release.keys import read_public_key
    from fleet.release.metadata import RoleKeys
    from fleet.release.rotation import delegate as build

    pending_file.check_free(pending)
    model = request(TeamModel, model=model).model
    team = RoleKeys(tuple(map(read_public_key, team_key or ())), threshold)
    with connected(folder) as api:
        change = build(pending_file.fetch_published(api), model, team, _now())
        signers = pending_file.open_keys(key, _default_key(folder, "targets"), asker(passphrase_file, passphrase_fd))
        _sign_and_go_on(api, change, signers, pending)


def sign(
    file: Annotated[Path, typer.Argument(help="A change that waits, as `rotate`, `delegate` or `release add` wrote it.")],
    key: KeysToSignWith = None,
    hand_in: Annotated[bool, typer.Option(help="Give it to the server once nothing lacks.")] = True,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Say what a waiting change does, sign it, and hand it in once enough keys have; without --key it is only handed in."""
    from fleet.cli import pending_file
    from fleet.release.description import describe
    from fleet.release.keys import open_key
    from fleet.release.pending import missing, signed_by
    from fleet.release.signing import Published

    change = pending_file.read_pending(file)
    Published(change.root_before.encode(), change.targets_before.encode()).read()  # nobody signs upon what was not signed before
    for line in describe(change):
        typer.echo(line)
    ask = asker(passphrase_file, passphrase_fd)
    for reference in key or ():
        change = signed_by(change, open_key(reference, ask), reference)
    pending_file.write_pending(change, file)
    if missing(change) or not hand_in:
        pending_file.say_what_lacks(change, file)
        return
    with connected(folder) as api:
        pending_file.hand_in(api, change, file)


def _sign_and_go_on(api: ApiClient, change: Pending, signers: Mapping[str, Signer], pending: Path) -> None:
    from fleet.cli import pending_file
    from fleet.release.description import describe
    from fleet.release.pending import missing, signed_by

    for name, signer in signers.items():
        change = signed_by(change, signer, name)
    for line in describe(change):
        typer.echo(line)
    pending_file.write_pending(change, pending)
    if missing(change):
        pending_file.say_what_lacks(change, pending)
    else:
        pending_file.hand_in(api, change, pending)


def _make_keys(out: Path, role: RotatedRole, count: int, ask: Asker) -> dict[str, Signer]:
    from fleet.release.keys import make_key

    check_empty(out)
    files = [out / f"{role.value}-{number}.pem" for number in range(1, count + 1)]
    return {str(file): make_key(file, ask.choose(str(file))) for file in files}


def _next_online_key(api: ApiClient, role: RotatedRole) -> Key:
    from securesystemslib.signer import Key

    answer = api.post(f"online-keys/{role.value}", None, OnlineKey)
    return Key.from_dict(answer.key_id, dict(answer.key))


def _default_key(folder: Path | None, role: str) -> Path:
    return Home(folder or default_folder()).keys / "offline" / f"{role}.pem"


def _now() -> datetime:
    return datetime.now(timezone.utc)
