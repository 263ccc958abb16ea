"""`fieldfare audit`: who did what, and whether the log still says what was written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from contracts import codec
from fleet.cli.client import ApiClient, connected
from fleet.cli.options import AsJson, Folder, parse_duration
from fleet.cli.output import print_json, print_table
from fleet.core.audit import Anchor, Chain, LinkedEntry
from fleet.errors.audit import AuditFileError
from fleet.views.access import AuditPage

app = typer.Typer(name="audit", no_args_is_help=True, help="See who did what, and prove that the log is whole.")
PAGE = 1000
MAX_LINE_BYTES = 64 * 1024


@app.command("list")
def list_entries(
    since: Annotated[str | None, typer.Option(help="How far back: 15m, 12h, 90d.", show_default="all")] = None,
    who: Annotated[str, typer.Option(help="A name, or a kind and a name such as 'token owner'.")] = "",
    what: Annotated[str, typer.Option(help="Such as rollouts or rollouts.pause.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, the newest.")] = 100,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List what was done, newest first."""
    wanted = {"order": "newest", "who": who, "what": what}
    if since is not None:
        wanted["since"] = (datetime.now(timezone.utc) - timedelta(seconds=parse_duration("--since", since))).isoformat()
    with connected(folder) as api:
        found = tuple(entry for entry, _ in zip(_entries(api, wanted, limit), range(limit), strict=False))
    if as_json:
        print_json(found)
        return
    rows = [
        (str(each.number), f"{each.at:%Y-%m-%d %H:%M:%S}", each.who, each.what, each.subject, each.outcome, each.source) for each in found
    ]
    print_table(("NUMBER", "UTC", "WHO", "WHAT", "ON", "OUTCOME", "FROM"), rows, empty="no such rows")


@app.command()
def verify(
    anchor: Annotated[
        str | None, typer.Option(metavar="NUMBER:SHA256", help="What an earlier call printed; up to it all must be there.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Check what `fieldfare audit export` wrote, instead of the server's log.")] = None,
    folder: Folder = None,
) -> None:
    """Follow the chain from the first row, here and not on the server; name the first row that breaks. Keep the anchor elsewhere."""
    chain = Chain(None if anchor is None else Anchor.parse(anchor))
    if file is not None:
        for entry in _read(file):
            chain.follow(entry)
    else:
        with connected(folder) as api:
            for entry in _entries(api, {"order": "oldest"}, PAGE):
                chain.follow(entry)
    newest = chain.finish()
    typer.echo(f"{newest.number} rows, none changed; anchor: {newest}")


@app.command()
def export(folder: Folder = None) -> None:
    """Print all rows, oldest first, each a line of canonical JSON."""
    with connected(folder) as api:
        for entry in _entries(api, {"order": "oldest"}, PAGE):
            typer.echo(codec.encode(entry).decode())


def _entries(api: ApiClient, wanted: dict[str, str], limit: int) -> Iterator[LinkedEntry]:
    """Yield rows, page by page."""
    cursor: dict[str, str] = {}
    while True:
        page = api.get(f"audit?{urlencode({'limit': min(limit, PAGE), **wanted, **cursor})}", AuditPage)
        yield from page.items
        if page.next is None:
            return
        cursor = {"cursor": page.next}


def _read(file: Path) -> Iterator[LinkedEntry]:
    try:
        stream = file.open("rb")
    except OSError as error:
        raise AuditFileError(str(file), error.strerror or str(error)) from error
    with stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            yield codec.decode(LinkedEntry, line, name=f"{file}: line {number}", max_bytes=MAX_LINE_BYTES)
