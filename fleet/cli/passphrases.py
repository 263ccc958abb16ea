"""Asks for passphrases: at the terminal, or from a file or descriptor for scripts; never from the command line, which others can read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors.keys import PassphraseError

MAX_BYTES = 1024

PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help="A file whose first line is the passphrase of every key; else it is asked for.")
]
PassphraseFd = Annotated[int | None, typer.Option("--passphrase-fd", min=0, help="An open descriptor to read the passphrase from.")]


class Asker:
    """Knows each passphrase after the first question."""

    def __init__(self, given: str | None) -> None:
        """Answer with `given` to all, or ask at the terminal."""
        self._given = given
        self._asked: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """Return the passphrase of a key, or a token's PIN; raise PassphraseError."""
        return self._answer(name, is_new=False)

    def choose(self, name: str) -> str:
        """Return the passphrase of a key that is being made, typed twice."""
        return self._answer(name, is_new=True)

    def _answer(self, name: str, *, is_new: bool) -> str:
        if self._given is not None:
            return self._given
        if name not in self._asked:
            self._asked[name] = _at_terminal(name, is_new)
        return self._asked[name]


def asker(file: Path | None, descriptor: int | None) -> Asker:
    """Return what knows the passphrases of this call; raise PassphraseError."""
    return Asker(None if file is None and descriptor is None else _from_script(file, descriptor))


def _from_script(file: Path | None, descriptor: int | None) -> str:
    source = f"descriptor {descriptor}" if file is None else str(file)
    try:
        with open(descriptor if file is None and descriptor is not None else source, "rb") as stream:  # noqa: PTH123 - it may be a descriptor
            line = stream.read(MAX_BYTES + 1).split(b"\n", 1)[0]
        passphrase = line.decode()
    except OSError as error:
        raise PassphraseError(source, error.strerror or repr(error)) from error
    except UnicodeDecodeError as error:
        raise PassphraseError(source, "bytes that are no text") from error
    if not 1 <= len(line) <= MAX_BYTES:
        raise PassphraseError(source, f"{len(line)} bytes")
    return passphrase


def _at_terminal(name: str, is_new: bool) -> str:
    if not sys.stdin.isatty():
        raise PassphraseError(name, "no terminal to ask at; give --passphrase-file or --passphrase-fd")
    passphrase: str = typer.prompt(f"passphrase of {name}", hide_input=True, confirmation_prompt=is_new, err=True)
    return passphrase
