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
