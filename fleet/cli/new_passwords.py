"""Asks for a person's new password: at the terminal, twice, or from a file or standard input; never from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors.people import NowhereToAskError, PasswordError

MAX_BYTES = 1024
STDIN = Path("-")
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", help="A file whose first line is the password, - for standard input; else it is asked for."),
]


def new_password(name: str, file: Path | None) -> str:
    """Return what was typed or given; raise PasswordError, or NowhereToAskError."""
    if file is not None:
        return _first_line(file)
    if not sys.stdin.isatty():
        raise NowhereToAskError
    password: str = typer.prompt(f"password of {name}", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _first_line(file: Path) -> str:
    try:
        if file == STDIN:
            line = sys.stdin.buffer.readline(MAX_BYTES + 2)
        else:
            with file.open("rb") as stream:
                line = stream.readline(MAX_BYTES + 2)
        password = line.rstrip(b"\r\n").decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PasswordError(f"{file} to hold it in UTF-8", type(error).__name__) from error
    if len(password.encode()) > MAX_BYTES:
        raise PasswordError(f"at most {MAX_BYTES} bytes", "more")
    return password
