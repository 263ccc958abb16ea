"""Decides which devices a query such as `hw = rpi5 and label.site = "lyon"` means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.errors import QueryError

MAX_QUERY_CHARS = 1000
_SPACE = re.compile(r"\s*")
_FIELD = re.compile(r"label\.[a-z][a-z0-9_]{0,31}|hw|id")
_OPERATOR = re.compile(r"!=|=")
_VALUE = re.compile(r'"([A-Za-z0-9._-]+)"|([A-Za-z0-9._-]+)')
_WORD = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Candidate:
    """What a query can ask of a device."""

    id: str
    hardware: str
    labels: Mapping[str, str]

    def value_of(self, field: str) -> str | None:
        """Return a field's value; None for a label that the device does not have."""
        if field.startswith("label."):
            return self.labels.get(field.removeprefix("label."))
        return self.id if field == "id" else self.hardware


@dataclass(frozen=True)
class Term:
    """One comparison; a missing label differs from every value."""

    field: str
    is_equal: bool
    value: str

    def matches(self, device: Candidate) -> bool:
        """Say whether the device satisfies it."""
        return (device.value_of(self.field) == self.value) is self.is_equal

    def __str__(self) -> str:
        return f'{self.field} {"=" if self.is_equal else "!="} "{self.value}"'


@dataclass(frozen=True)
class Query:
    """Terms that must all hold; none at all means every device."""

    terms: tuple[Term, ...]

    def matches(self, device: Candidate) -> bool:
        """Say whether the query means this device."""
        return all(term.matches(device) for term in self.terms)

    def __str__(self) -> str:
        return " and ".join(map(str, self.terms)) or "all"


def parse_query(text: str) -> Query:
    """Read `all`, or terms joined by `and`; raise QueryError with the position of what is wrong."""
    if len(text) > MAX_QUERY_CHARS:
        raise QueryError(text[:40], MAX_QUERY_CHARS, f"at most {MAX_QUERY_CHARS} characters")
    reader = _Reader(text)
    if reader.peek_word() == "all":
        reader.take(_WORD, "all")
        reader.expect_end()
        return Query(())
    terms = [reader.term()]
    while not reader.is_at_end():
        reader.keyword_and()
        terms.append(reader.term())
    return Query(tuple(terms))


class _Reader:
    """A position in a query's text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip_space()

    def term(self) -> Term:
        field = self.take(_FIELD, "all, hw, id or label.NAME").group()
        operator = self.take(_OPERATOR, "= or !=").group()
        value = self.take(_VALUE, 'a value such as rpi5 or "lyon"')
        return Term(field, operator == "=", value[1] or value[2])

    def keyword_and(self) -> None:
        if self.peek_word() != "and":
            raise QueryError(self._text, self._at, "and, or the end")
        self.take(_WORD, "and")

    def take(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise QueryError(self._text, self._at, expected)
        self._at = match.end()
        self._skip_space()
        return match

    def peek_word(self) -> str:
        match = _WORD.match(self._text, self._at)
        return match.group() if match else ""

    def is_at_end(self) -> bool:
        return self._at == len(self._text)

    def expect_end(self) -> None:
        if not self.is_at_end():
            raise QueryError(self._text, self._at, "the end")

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
