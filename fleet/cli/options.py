"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet.home import FOLDER_VARIABLE

Folder = Annotated[
    Path | None,
    typer.Option("--dir", envvar=FOLDER_VARIABLE, show_default="~/.local/share/fieldfare", help="The server's folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's own answer.")]
KeysToSignWith = Annotated[
    list[str] | None,
    typer.Option("--key", show_default="in the server's folder", help="An offline key: a PEM file or hsm:ID?label=TOKEN; may be repeated."),
]
PendingFile = Annotated[Path, typer.Option("--pending", help="Where a change waits that more keys must sign.")]
DEFAULT_PENDING = Path("pending.json")
