"""Decides which modules, imported by libraries for what a device never does, are loaded only once somebody touches them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

# Each is imported whole by a library, for the sake of something that it does not do here. A name that is touched after all is loaded then.
UNUSED = frozenset({
    "urllib.request",  # paho: proxies of the environment
    "http.client",  # sources over HTTP that may never be asked
    "tarfile",  # bundles on a stick that may never come
    "csv", "email", "zipfile", "tempfile", "importlib.metadata._adapters",  # importlib.metadata: a package's whole description
    "calendar", "locale", "tokenize", "textwrap",  # the standard library's own
})  # fmt: skip


class LazyModules:
    """Finds modules as Python does, and puts off running those of certain names."""

    def __init__(self, names: frozenset[str]) -> None:
        """Put off `names`, given as `package.module`."""
        self._names = names

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where a module is; None for one that is none of ours, or not there."""
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def spare(names: frozenset[str]) -> None:
    """Have `names` wait; to be called before anything else is imported."""
    # Looking for plugins of pydantic reads what every installed package says of itself, and would run what it finds.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Where it happens to be installed, paho would look for a proxy to the broker in the environment; None says that it cannot be had.
    sys.modules.setdefault("socks", None)  # type: ignore[arg-type]  # typeshed does not know of this meaning
    sys.meta_path.insert(0, LazyModules(names))
