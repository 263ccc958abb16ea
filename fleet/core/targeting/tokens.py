"""Cuts a query's text into words, quoted texts and signs, each with its position."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fleet.errors.devices import QueryError

MAX_QUERY_CHARS = 4000
_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(r'(?P<quoted>"[^"\\\x00-\x1f\x7f]{0,200}")|(?P<sign><=|>=|!=|[=<>(),])|(?P<word>[A-Za-z0-9._+-]+%?)')

TokenKind = Literal["quoted", "sign", "word", "end"]


@dataclass(frozen=True)
class Token:
    """One piece, and where it begins."""

    kind: TokenKind
    text: str
    position: int

    def is_word(self, *words: str) -> bool:
        """Say whether it is one of these keywords."""
        return self.kind == "word" and self.text in words

    def is_sign(self, *signs: str) -> bool:
        """Say whether it is one of these signs."""
        return self.kind == "sign" and self.text in signs


def tokens_of(text: str) -> tuple[Token, ...]:
    """Return the pieces, closed by one that stands for the end; raise QueryError."""
    if len(text) > MAX_QUERY_CHARS:
        raise QueryError(text[:40], MAX_QUERY_CHARS, f"at most {MAX_QUERY_CHARS} characters")
    found: list[Token] = []
    at = _after_space(text, 0)
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            expected = 'a text that ends with "' if text[at] == '"' else 'a name, a value, a sign such as = or a "text"'
            raise QueryError(text, at, expected)
        found.append(_token(match, at))
        at = _after_space(text, match.end())
    return (*found, Token("end", "", len(text)))


def _token(match: re.Match[str], at: int) -> Token:
    if match["quoted"] is not None:
        return Token("quoted", match["quoted"][1:-1], at)
    return Token("sign", match["sign"], at) if match["sign"] is not None else Token("word", match["word"], at)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
