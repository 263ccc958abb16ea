"""What a saved group is, and how it is put in the place of its name in a query."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.core.targeting.query import And, InGroup, Named, Not, Or, Query, all_of, any_of
from fleet.errors import UnknownGroupError


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
    match groups.get(name):
        case FixedGroup(ids):
            return Named(ids)
        case SavedQuery(query):
            return query
    close = difflib.get_close_matches(name, groups, n=1)
    raise UnknownGroupError(name, close[0] if close else None)
