"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import InvalidDocumentError
from fleet.home import FOLDER_VARIABLE

MAX_DURATION_S = 10 * 365 * 86400

Folder = Annotated[
    Path | None,
    typer.Option("--dir", envvar=FOLDER_VARIABLE, show_default="~/.local/share/fieldfare", help="The server's folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's own answer.")]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        show_default="SQLite in the folder",
        help="postgresql://user@host/name, or a file of mode 0600 that holds it with its password; or set FIELDFARE_DATABASE_URL.",
    ),
]
KeysToSignWith = Annotated[
    list[str] | None,
    typer.Option("--key", show_default="in the server's folder", help="An offline key: a PEM file or hsm:ID?label=TOKEN; may be repeated."),
]
PendingFile = Annotated[Path, typer.Option("--pending", help="Where a change waits that more keys must sign.")]
DEFAULT_PENDING = Path("pending.json")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(option: str, text: str) -> float:
    """Read 30s, 15m, 12h or 90d as seconds; raise InvalidDocumentError."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text.strip())
    seconds = 0 if match is None else int(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds <= MAX_DURATION_S:
        raise InvalidDocumentError(option, "duration", "a number and a unit, such as 15m, 12h or 90d, up to 10 years", repr(text))
    return float(seconds)
