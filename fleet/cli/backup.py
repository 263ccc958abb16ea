"""`fieldfare fleet backup` and `restore`: one file from which a fleet's server comes back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.options import DatabaseOption, Folder
from fleet.home import Home, default_folder


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; nothing is written over.")],
    folder: Folder = None,
    database: DatabaseOption = None,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Also the server's private keys: whoever has the file can speak for the fleet.")
    ] = False,
) -> None:
    """Write devices, releases, rollouts, telemetry and trust into one file, while the server runs; files of releases are only listed."""
    from fleet.backup import back_up
    from fleet.store import place
    from fleet.wall_clock import utc_now

    found = place.find_place(database, os.environ.get(place.VARIABLE))
    index = back_up(Home(folder or default_folder()), found, file, utc_now(), with_keys=with_keys)
    typer.echo(f"{file}: {sum(index.rows.values())} rows, {len(index.parts)} files, {'with' if with_keys else 'without'} keys")
    if index.artifacts:
        typer.echo(f"it lists {len(index.artifacts)} files of releases; keep a copy of artifacts/ too")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `fieldfare fleet backup` wrote, on whichever kind of database.")],
    folder: Folder = None,
    database: DatabaseOption = None,
) -> None:
    """Make a server's folder of a backup, and its database, which must both be empty or missing."""
    from fleet.backup import restore as bring_back
    from fleet.store import place

    found = place.find_place(database, os.environ.get(place.VARIABLE))
    home = Home(folder or default_folder())
    restored = bring_back(file, home, found)
    typer.echo(f"{home.folder}: {sum(restored.index.rows.values())} rows, {len(restored.index.parts)} files")
    if not restored.index.with_keys:
        typer.echo("the backup holds no keys: bring keys/ and authority/ back before the server starts")
    if restored.missing:
        typer.echo(f"bring {len(restored.missing)} files of releases back into artifacts/, such as {restored.missing[0]}")
