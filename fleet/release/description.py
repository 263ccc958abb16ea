"""Says in words what a change of keys or a release would do, from the signed documents alone, for those who are asked to sign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tuf.api.metadata import Role, Root, TargetFile, Targets

from contracts.trust import DIRECTOR_TARGET
from fleet.release import metadata
from fleet.release.pending import Pending

SHORT = 8


def short(key_ids: Iterable[str]) -> str:
    """Write the ids of keys as people compare them."""
    return ", ".join(sorted(key_id[:SHORT] for key_id in key_ids)) or "none"


def describe(pending: Pending) -> Iterator[str]:
    """Yield one line for each thing that changes; raise UntrustedReleaseError for what is no metadata."""
    before = metadata.read(Targets, pending.targets_before.encode()).signed
    if pending.release is not None:
        listed = metadata.read(Targets, pending.release.targets.encode()).signed
        if pending.release.team is None:
            yield from _lists(before, listed)
            return
        old = metadata.team_list(before, pending.release.team, pending.team_before.encode() if pending.team_before else None)
        yield from _targets(old.targets, listed.targets)
        return
    assert pending.change is not None
    if pending.change.root is not None:
        root_before = metadata.read(Root, pending.root_before.encode()).signed
        root = metadata.read(Root, pending.change.root.encode()).signed
        yield f"root {root_before.version} becomes {root.version}, valid until {root.expires:%Y-%m-%d}"
        yield from _roles(root_before.roles, root.roles)
    if pending.change.targets is not None:
        yield from _lists(before, metadata.read(Targets, pending.change.targets.encode()).signed)


def teams(targets: Targets) -> Mapping[str, Role]:
    """Return the roles that lists of releases are delegated to."""
    return (targets.delegations.roles if targets.delegations else None) or {}


def _lists(before: Targets, after: Targets) -> Iterator[str]:
    yield f"targets {before.version} becomes {after.version}, valid until {after.expires:%Y-%m-%d}"
    yield from _targets(before.targets, after.targets)
    yield from _roles(teams(before), teams(after))


def _targets(before: Mapping[str, TargetFile], after: Mapping[str, TargetFile]) -> Iterator[str]:
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            yield f"removes {path}"
        elif before.get(path) != after[path]:
            verb = "replaces" if path in before or path == DIRECTOR_TARGET else "adds"
            yield f"{verb} {path} (sha256 {after[path].hashes.get('sha256', 'none')})"


def _roles(before: Mapping[str, Role], after: Mapping[str, Role]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if new is None:
            yield f"{name}: delegated no more"
        elif old is None or (set(old.keyids), old.threshold) != (set(new.keyids), new.threshold):
            had = "" if old is None else f", before {old.threshold} of {short(old.keyids)}"
            yield f"{name}: {new.threshold} of {short(new.keyids)}{had}"
