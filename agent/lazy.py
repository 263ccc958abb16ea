"""Decides which modules, imported for what a device never does or seldom, are run only once somebody touches them."""

from __future__ import annotations

import os
import sys
import threading
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader

# Each is imported whole, for the sake of something that is not done here, or not while all is quiet. A name that is touched after all is
# there then.
UNUSED = frozenset({
    "urllib.request",  # paho: proxies of the environment
    "http.client",  # sources over HTTP that may never be asked
    "tarfile",  # bundles on a stick that may never come
    "csv", "email", "zipfile", "tempfile", "importlib.metadata._adapters",  # importlib.metadata: a package's whole description
    "calendar", "locale", "tokenize", "textwrap",  # the standard library's own
    "statistics",  # medians of a release on probation
})  # fmt: skip

_LOADER, _TURN = "__waiting_loader__", "__waiting_turn__"


class WaitingModule(ModuleType):
    """Runs when it is first asked for a name; whoever asks meanwhile, in another thread, waits for it to be whole.

    The standard library's LazyLoader lets a second thread in while the first one runs the module, up to Python 3.11.
    """

    def __getattribute__(self, name: str) -> object:
        state = object.__getattribute__(self, "__dict__")
        turn = state.get(_TURN)
        # The import system looks at the specification whenever one more module imports this one.
        if turn is not None and name != "__spec__":
            with turn:
                _run(self, state)
        return object.__getattribute__(self, name)


def _run(module: ModuleType, state: dict[str, Any]) -> None:
    loader: Loader | None = state.pop(_LOADER, None)
    if loader is None:
        return  # it is whole, or asks for its own names while it runs
    try:
        loader.exec_module(module)
    except BaseException:  # whatever a module raises while it runs, whoever asks next shall find the same; it is raised again
        state[_LOADER] = loader
        raise
    object.__setattr__(module, "__class__", ModuleType)
    del state[_TURN]


class WaitingLoader:
    """Makes a module that waits for what another loader would run at once."""

    def __init__(self, loader: Loader) -> None:
        """Stand in for `loader`."""
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make what the other one makes."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Put it off."""
        assert module.__spec__ is not None  # the import system gave it one
        module.__spec__.loader = module.__loader__ = self._loader
        module.__dict__.update({_LOADER: self._loader, _TURN: threading.RLock()})
        module.__class__ = WaitingModule


class WaitingFinder:
    """Finds modules as Python does, and has some of them wait."""

    def __init__(self, names: frozenset[str]) -> None:
        """Let `names` wait, given as `package.module`."""
        self._names = names

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where a module is; None for one that is none of ours, or not there."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in self._names else None
        if spec is not None and spec.loader is not None:
            # A loader in all but name: importlib.abc would load some of what is to wait.
            spec.loader = WaitingLoader(spec.loader)  # type: ignore[assignment]  # see above
        return spec


def spare(names: frozenset[str]) -> None:
    """Have `names` wait; to be called before anything else is imported."""
    # Looking for plugins of pydantic reads what every installed package says of itself, and would run what it finds.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Where it happens to be installed, paho would look for a proxy to the broker in the environment; None says that it cannot be had.
    sys.modules.setdefault("socks", None)  # type: ignore[arg-type]  # typeshed does not know of this meaning
    sys.meta_path.insert(0, WaitingFinder(names))
