"""`fieldfare keys`: makes the keys that stay with people, and shows which ones the fleet trusts."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from contracts.trust import DIRECTOR_TARGET
from fleet.cli import key_changes
from fleet.cli.client import connected
from fleet.cli.options import Folder
from fleet.cli.output import print_json, print_table
from fleet.cli.passphrases import PassphraseFd, PassphraseFile, asker
from fleet.errors.keys import ThresholdError
from fleet.files import check_empty

app = typer.Typer(name="keys", no_args_is_help=True, help="Make, rotate and sign with the keys that stay offline.")


@app.command()
def init(
    out: Annotated[Path, typer.Option(help="Folder for the keys, empty or missing.")],
    root_keys: Annotated[int, typer.Option(min=0, max=16, help="How many root keys to make.")] = 1,
    root_threshold: Annotated[int, typer.Option(min=1, max=16, help="How many of them must sign.")] = 1,
    targets_keys: Annotated[int, typer.Option(min=0, max=16, help="How many release keys to make.")] = 1,
    targets_threshold: Annotated[int, typer.Option(min=1, max=16, help="How many of them must sign.")] = 1,
    root_key: Annotated[list[str] | None, typer.Option(help="One more root key, a PEM file or hsm:ID?label=TOKEN.")] = None,
    targets_key: Annotated[list[str] | None, typer.Option(help="One more release key, likewise.")] = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Begin a fleet whose server holds no offline key: DIR/offline is for people, DIR/server for `fleet up --trust`."""
    from fleet.release.founding import Office, write_server_folder
    from fleet.release.keys import make_key, open_key

    check_empty(out)
    ask = asker(passphrase_file, passphrase_fd)
    offline = out / "offline"

    def office(role: str, given: list[str] | None, count: int, threshold: int) -> Office:
        files = [offline / f"{role}-{number}.pem" for number in range(1, count + 1)]
        if not 1 <= threshold <= len(given or ()) + count:
            raise ThresholdError(role, threshold, len(given or ()) + count)
        return Office(
            (*(open_key(each, ask) for each in given or ()), *(make_key(file, ask.choose(str(file))) for file in files)), threshold
        )

    root = office("root", root_key, root_keys, root_threshold)
    targets = office("targets", targets_key, targets_keys, targets_threshold)
    write_server_folder(out / "server", root, targets, _now())
    typer.echo(f"offline keys are in {offline}: move each to whom it belongs; move {out / 'server'} to the server and run there:")
    typer.echo(f"fieldfare fleet up --trust {out / 'server'}")


@app.command()
def make(
    file: Annotated[Path, typer.Argument(help="The new key's file, such as alice.pem; alice.pub is its public half.")],
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Make one encrypted key, for a member of a team."""
    from fleet.release.keys import make_key

    key = make_key(file, asker(passphrase_file, passphrase_fd).choose(str(file))).public_key
    typer.echo(f"made {file}, key {key.keyid[:8]}; give {file.with_suffix('.pub')} to the holder of the release key")


class TrustedRole(BaseModel, frozen=True):
    """Whose signatures count for what, by the ids of keys."""

    role: str
    threshold: int
    keys: tuple[str, ...]


@app.command()
def show(
    folder: Folder = None, as_json: Annotated[bool, typer.Option("--json", help="Print a list for programs, with whole ids.")] = False
) -> None:
    """Show which keys the fleet's devices trust for what, and how many of them must sign."""
    from fleet.cli.pending_file import fetch_director, fetch_published
    from fleet.release.description import short, teams

    with connected(folder) as api:
        root, targets = fetch_published(api).read()
        director = TrustedRole(
            role="director", threshold=1, keys=fetch_director(api, targets.signed.targets[DIRECTOR_TARGET].hashes["sha256"])
        )
    signed = {**root.signed.roles, **teams(targets.signed)}
    roles = [*(TrustedRole(role=name, threshold=role.threshold, keys=tuple(role.keyids)) for name, role in signed.items()), director]
    if as_json:
        print_json(roles)
        return
    typer.echo(f"root {root.signed.version}, valid until {root.signed.expires:%Y-%m-%d}; "
               f"targets {targets.signed.version}, valid until {targets.signed.expires:%Y-%m-%d}")  # fmt: skip
    rows = [(each.role, f"{each.threshold} of {len(each.keys)}", short(each.keys)) for each in roles]
    print_table(("ROLE", "THRESHOLD", "KEYS"), rows, empty="")


app.command()(key_changes.rotate)
app.command()(key_changes.delegate)
app.command()(key_changes.sign)


def _now() -> datetime:
    return datetime.now(timezone.utc)
