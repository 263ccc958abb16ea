"""Adds up what an extra of fieldfare puts on the disk, from the records of what is installed here, compiled modules included."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def installed_bytes(extra: str) -> int:
    """Return the bytes of every distribution that `fieldfare[extra]` brings into an empty environment."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(f"fieldfare[{extra}]")]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in found:
                found.add((name, wanted))
                waiting += _needed(name, wanted)
    return sum(map(_size, {name for name, _ in found}))


def _needed(name: str, extra: str) -> list[Requirement]:
    requirements = map(Requirement, metadata.requires(name) or ())
    return [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": extra})]


def _size(name: str) -> int:
    places = (Path(str(file.locate())) for file in metadata.files(name) or ())
    return sum(place.stat().st_size for place in places if place.is_file())
