"""Leaves authorities where a mosquitto looks for them when somebody comes by a certificate that it cannot place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fleet.files import write_secret

FOLDER = "authorities"


def believe(rules: Path, authorities: Mapping[str, str]) -> None:
    """Have these believed too from now on, in PEM, by the names under which OpenSSL looks for them; they were others before.

    What a mosquitto found here it believes for as long as it runs.
    """
    folder = rules / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.iterdir():
        if file.name not in authorities:
            file.unlink()
    for name, pem in authorities.items():
        write_secret(folder / name, pem.encode())
