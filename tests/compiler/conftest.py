"""What every test of the compiler needs before its first import, and a cache that is nobody's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# As in compiler/__init__.py: a test that imports onnxruntime by itself must not report to anyone either.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@pytest.fixture(autouse=True, scope="package")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the compilations of these tests out of the user's own cache, and it out of them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
