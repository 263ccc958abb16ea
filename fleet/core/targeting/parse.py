"""Reads a query such as `hw = rpi5 and label.site = "lyon" and free_disk > 500MB and not running "digits 3"`."""

from __future__ import annotations

import difflib
import re

from fleet.core.targeting.fields import FIELDS, GROUP, LABEL, TEXT, Kind, field_of
from fleet.core.targeting.query import (
    Comparison,
    Everything,
    InGroup,
    Not,
    Online,
    Query,
    Running,
    all_of,
    any_of,
)
from fleet.core.targeting.tokens import Token, tokens_of
from fleet.core.targeting.values import Value
from fleet.errors.devices import QueryError

MAX_DEPTH = 40
_LABEL = re.compile(r"label\.[a-z][a-z0-9_]{0,31}")
_GROUP = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
NAMES = ("all", "online", "running", GROUP, *FIELDS)
_CONDITION = f"a condition: one of {', '.join(NAMES)}, label.NAME, not or ("


def parse_query(text: str) -> Query:
    """Return what a text means; raise QueryError with the position of what is wrong and what would have been right."""
    reader = _Reader(text)
    found = reader.either()
    reader.end()
    return found


class _Reader:
    """A position among the pieces of a query."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._at = 0
        self._depth = 0

    def either(self) -> Query:
        parts = [self._both()]
        while self._now.is_word("or"):
            self._next()
            parts.append(self._both())
        return any_of(parts)

    def end(self) -> None:
        if self._now.kind != "end":
            raise self._wrong("and, or, or the end")

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._now
        self._at += token.kind != "end"
        return token

    def _both(self) -> Query:
        parts = [self._one()]
        while self._now.is_word("and"):
            self._next()
            parts.append(self._one())
        return all_of(parts)

    def _one(self) -> Query:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"at most {MAX_DEPTH} conditions inside each other")
        found = self._condition()
        self._depth -= 1
        return found

    def _condition(self) -> Query:
        token = self._now
        if token.is_sign("("):
            self._next()
            inner = self.either()
            self._sign(")", "and, or, or )")
            return inner
        if token.kind != "word":
            raise self._wrong(_CONDITION)
        match token.text:
            case "not":
                self._next()
                return Not(self._one())
            case "all":
                self._next()
                return Everything()
            case "online":
                self._next()
                return Online()
            case "running":
                self._next()
                return Running(self._text_value('a release such as "digits 3", a model, or the beginning of a digest'))
            case "group":
                self._next()
                return self._group()
        return self._comparison()

    def _group(self) -> Query:
        sign = self._operator(TEXT.operators)
        expected = "a group's name"
        names = self._list(expected) if sign == "in" else (self._value(expected),)
        for name in names:
            if not _GROUP.fullmatch(name.text):
                raise QueryError(self._text, name.position, expected)
        found = any_of(InGroup(name.text) for name in names)
        return Not(found) if sign == "!=" else found

    def _comparison(self) -> Query:
        name = self._field_name()
        kind = field_of(name).kind
        sign = self._operator(kind.operators)
        found = self._list(kind.expected) if sign == "in" else (self._value(kind.expected),)
        return Comparison(name, sign, tuple(self._read(kind, token) for token in found))

    def _read(self, kind: Kind, token: Token) -> Value:
        value = kind.parse(token.text)
        if value is None:
            raise QueryError(self._text, token.position, kind.expected)
        return value

    def _field_name(self) -> str:
        name = self._now.text
        if name in FIELDS or _LABEL.fullmatch(name):
            return self._next().text
        if name.startswith(LABEL):
            raise self._wrong("label.NAME, of small letters, digits and _")
        close = difflib.get_close_matches(name, (*NAMES, "not", LABEL), n=1, cutoff=0.6)
        raise self._wrong(_CONDITION, f"did you mean {close[0]}?" if close else "")

    def _operator(self, allowed: tuple[str, ...]) -> str:
        token = self._now
        if token.text not in allowed or token.kind == "quoted":
            raise self._wrong(_alternatives(allowed))
        return self._next().text

    def _list(self, expected: str) -> tuple[Token, ...]:
        self._sign("(", "( and values between commas")
        found = [self._value(expected)]
        while self._now.is_sign(","):
            self._next()
            found.append(self._value(expected))
        self._sign(")", ", or )")
        return tuple(found)

    def _value(self, expected: str) -> Token:
        if self._now.kind not in ("word", "quoted") or not self._now.text:
            raise self._wrong(expected)
        return self._next()

    def _text_value(self, expected: str) -> str:
        return self._value(expected).text

    def _sign(self, sign: str, expected: str) -> None:
        if not self._now.is_sign(sign):
            raise self._wrong(expected)
        self._next()

    def _wrong(self, expected: str, hint: str = "") -> QueryError:
        return QueryError(self._text, self._now.position, expected, hint)


def _alternatives(allowed: tuple[str, ...]) -> str:
    return f"{', '.join(allowed[:-1])} or {allowed[-1]}"
