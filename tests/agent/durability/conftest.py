"""Lets a test that counts something tell the number to whoever runs the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def report_line(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return what prints a line past pytest's capture."""

    def tell(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")  # noqa: T201 - this is for the person who runs the tests

    return tell
