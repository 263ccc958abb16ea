"""One emulated device and one set of models for all of these tests; `make test-device` runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.material import gather
from tests.live.arm64 import EmulatedDebian
from tests.live.arm64_agent import arm64_device
from tests.live.wheels import build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def device(wheel: Path) -> Iterator[EmulatedDebian]:
    """A 64-bit Arm with the agent."""
    with arm64_device(wheel) as machine:
        yield machine


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models and bundles."""
    folder = tmp_path_factory.mktemp("material") / "asked"
    gather(folder)
    return folder
