"""What a saved group is, and how it is put in the place of its name in a query."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.core.targeting.query import And, InGroup, Named, Not, Or, Query, all_of, any_of
from fleet.errors.targeting import UnknownGroupError


@dataclass(frozen=True)
class FixedGroup:
    """A list of devices."""

    ids: frozenset[str]


@dataclass(frozen=True)
class SavedQuery:
    """Whoever a query means when it is asked; it names no group itself."""

    query: Query


Group = FixedGroup | SavedQuery


def resolve(query: Query, groups: Mapping[str, Group]) -> Query:
    """Put groups in the place of their names; raise UnknownGroupError."""
    match query:
        case InGroup(name):
            return _content(name, groups)
        case Not(inner):
            return Not(resolve(inner, groups))
        case And(parts):
            return all_of(resolve(part, groups) for part in parts)
        case Or(parts):
            return any_of(resolve(part, groups) for part in parts)
    return query


def groups_in(query: Query) -> frozenset[str]:
    """Return the groups that a query names."""
    match query:
        case InGroup(name):
            return frozenset({name})
        case Not(inner):
            return groups_in(inner)
        case And(parts) | Or(parts):
            return frozenset().union(*map(groups_in, parts))
    return frozenset()


def _content(name: str, groups: Mapping[str, Group]) -> Query:
    if name in groups:
        return content_of(groups[name])
    close = difflib.get_close_matches(name, groups, n=1)
    raise UnknownGroupError(name, close[0] if close else None)


def content_of(group: Group) -> Query:
    """Return the query that means a group's devices."""
    return Named(group.ids) if isinstance(group, FixedGroup) else group.query


def version_of(group: Group) -> str:
    """Return what a change has to name, so that it changes what its author saw."""
    said = ["devices", *sorted(group.ids)] if isinstance(group, FixedGroup) else ["query", str(group.query)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
