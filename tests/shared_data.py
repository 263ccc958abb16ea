"""Finds the real models and data that lie beside the repository, and says why a test is skipped where they do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = Path(os.environ.get("FIELDFARE_SHARED_DATA", ROOT.parent / "shared" / "data"))


def shared_file(path: str) -> Path:
    """Return one of the shared files, or skip the test that asks for it."""
    file = FOLDER / path
    if not file.is_file():
        pytest.skip(f"{file} is absent; set FIELDFARE_SHARED_DATA to the folder of models and data")
    return file
