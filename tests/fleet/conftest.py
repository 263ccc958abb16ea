"""What the fleet's tests share: a running server for a file of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.server import FleetProcess


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcess]:
    """A server with nothing in it."""
    folder: Path = tmp_path_factory.mktemp("fleet") / "home"
    with FleetProcess(folder) as running:
        yield running
