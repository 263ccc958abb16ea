"""What a query is, and the one way to write it: conditions joined by and, or, not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fleet.core.targeting.values import Value


@dataclass(frozen=True)
class Everything:
    """Every device."""

    def __str__(self) -> str:
        return "all"


@dataclass(frozen=True)
class Comparison:
    """A field and one value, or with `in` several."""

    field: str
    operator: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        if self.operator == "in":
            return f"{self.field} in ({', '.join(map(str, self.values))})"
        return f"{self.field} {self.operator} {self.values[0]}"


@dataclass(frozen=True)
class Online:
    """There at this moment, as far as broker and silence tell."""

    def __str__(self) -> str:
        return "online"


@dataclass(frozen=True)
class Running:
    """A release runs: named by model and counter, by its model alone, or by the beginning of its manifest's digest."""

    what: str

    def __str__(self) -> str:
        return f'running "{self.what}"'


@dataclass(frozen=True)
class InGroup:
    """A member of a saved group; who that is, is put in its place before anybody is asked."""

    group: str

    def __str__(self) -> str:
        return f'group = "{self.group}"'


@dataclass(frozen=True)
class Named:
    """One of a fixed list of devices, which stands for a group."""

    ids: frozenset[str]

    def __str__(self) -> str:
        return f"{len(self.ids)} fixed devices"


@dataclass(frozen=True)
class Not:
    """The others."""

    query: Query

    def __str__(self) -> str:
        return f"not {_inside(self.query, (And, Or))}"


@dataclass(frozen=True)
class And:
    """All of at least two."""

    parts: tuple[Query, ...]

    def __str__(self) -> str:
        return " and ".join(_inside(part, (Or,)) for part in self.parts)


@dataclass(frozen=True)
class Or:
    """Any of at least two."""

    parts: tuple[Query, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


Query = Everything | Comparison | Online | Running | InGroup | Named | Not | And | Or


def all_of(parts: Iterable[Query]) -> Query:
    """Join by and; what is joined already is not joined twice."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,)))
    return flat[0] if len(flat) == 1 else And(flat)


def any_of(parts: Iterable[Query]) -> Query:
    """Join by or; what is joined already is not joined twice."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,)))
    return flat[0] if len(flat) == 1 else Or(flat)


def _inside(query: Query, looser: tuple[type, ...]) -> str:
    return f"({query})" if isinstance(query, looser) else str(query)
