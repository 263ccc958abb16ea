"""Builds the metadata that puts other keys in the place of a role's, for the holders of offline keys to sign."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from securesystemslib.signer import Key
from tuf.api.metadata import DelegatedRole, Delegations, Root, TargetFile, Targets

from contracts.trust import DIRECTOR_TARGET, team_pattern, team_role
from fleet.errors.keys import ThresholdError, UnknownKeyError
from fleet.release import metadata
from fleet.release.pending import Pending
from fleet.release.signing import Published
from fleet.requests.releases import TrustChange


@dataclass(frozen=True)
class Succession:
    """New keys for a role, the ids of those that go, and the threshold from now on, the same as before without one."""

    fresh: tuple[Key, ...]
    gone: Collection[str]
    threshold: int | None = None


def leaving(root: Root, role: str, beginnings: Collection[str]) -> tuple[str, ...]:
    """Return the ids of the keys that go: all, or those that the texts begin; raise UnknownKeyError unless each begins one."""
    held = root.roles[role].keyids
    if not beginnings:
        return tuple(held)
    found = {text: [key_id for key_id in held if key_id.startswith(text)] for text in beginnings}
    for text, key_ids in found.items():
        if len(key_ids) != 1:
            raise UnknownKeyError(role, text, len(key_ids))
    return tuple(key_ids[0] for key_ids in found.values())


def rotate(published: Published, role: str, succession: Succession, now: datetime) -> Pending:
    """Return a root with other keys for root, targets, snapshot or timestamp, and what must be signed anew with it."""
    old_root, old_targets = published.read()
    root = metadata.next_root(old_root.signed, now)
    for key_id in succession.gone:
        root.revoke_key(key_id, role)
    for key in succession.fresh:
        root.add_key(key, role)
    metadata.set_threshold(role, root.roles[role], succession.threshold or root.roles[role].threshold)
    targets = _next_targets(old_targets.signed, {}, now) if role == "targets" else None
    return _pending(published, root=root, targets=targets)


def rotate_director(published: Published, director: Key, now: datetime) -> Pending:
    """Return targets that list another director's key."""
    _, targets = published.read()
    target, content = metadata.director_file(director)
    new = _next_targets(targets.signed, {DIRECTOR_TARGET: target}, now)
    return _pending(published, targets=new, director=content)


def delegate(published: Published, model: str, team: metadata.RoleKeys, now: datetime) -> Pending:
    """Return targets that let these keys, and no others, sign releases of a model; without any the delegation ends."""
    _, targets = published.read()
    new = _next_targets(targets.signed, {}, now)
    roles = dict((new.delegations.roles if new.delegations else None) or {})
    roles.pop(team_role(model), None)
    keys = dict(new.delegations.keys) if new.delegations else {}
    if team.keys:
        if not 1 <= team.threshold <= len(team.keys):
            raise ThresholdError(team_role(model), team.threshold, len(team.keys))
        key_ids = [key.keyid for key in team.keys]
        roles[team_role(model)] = DelegatedRole(team_role(model), key_ids, team.threshold, terminating=True, paths=[team_pattern(model)])
        keys |= {key.keyid: key for key in team.keys}
    used = {key_id for role in roles.values() for key_id in role.keyids}
    new.delegations = Delegations({key_id: keys[key_id] for key_id in sorted(used)}, roles) if roles else None
    return _pending(published, targets=new)


def _next_targets(old: Targets, changed: Mapping[str, TargetFile], now: datetime) -> Targets:
    return metadata.new_targets(old.version + 1, {**old.targets, **changed}, old.delegations, now)


def _pending(published: Published, root: Root | None = None, targets: Targets | None = None, director: bytes | None = None) -> Pending:
    return Pending(
        root_before=published.root.decode(),
        targets_before=published.targets.decode(),
        change=TrustChange(
            root=None if root is None else metadata.sign(root).decode(),
            targets=None if targets is None else metadata.sign(targets).decode(),
            director=None if director is None else director.decode(),
        ),
    )
