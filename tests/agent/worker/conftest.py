"""Workers for the tests of this folder: one that many share, and a control side for those who start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.control import Address, Control, control
from tests.sim.tiny_release import TinyRelease


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[Control]:
    with control(tmp_path) as side:
        yield side


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    folder = tmp_path_factory.mktemp("serving")
    TinyRelease(release=7).write(folder / "release")
    with control(folder) as side:
        side.start(folder / "release").start_serving()
        yield side.address
