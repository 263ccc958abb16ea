"""Reads the one-line form of a specification, such as 'scale=0.5,mean=1:2:3', and names the part that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Set

from contracts.errors import InvalidDocumentError


def options(place: str, text: str, keys: Set[str], expected: str) -> Iterator[tuple[str, str, str]]:
    """Yield (key, whole part, value) of each 'key=value'; raise InvalidDocumentError for an unknown or repeated key."""
    met: set[str] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, _, value = part.partition("=")
        if key not in keys or key in met:
            raise InvalidDocumentError(place, part, expected, repr(key))
        met.add(key)
        yield key, part, value


def number(place: str, part: str, text: str) -> float:
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:
        raise InvalidDocumentError(place, part, "a finite number", repr(text))
    return value


def numbers(place: str, part: str, text: str) -> tuple[float, ...]:
    """Read 'M' or 'M:M:M'."""
    return tuple(number(place, part, piece) for piece in text.split(":"))


def sides(place: str, part: str, text: str) -> tuple[int, ...]:
    """Read '224' or '224x320'."""
    pieces = text.split("x")
    if len(pieces) > 2 or not all(piece.isascii() and piece.isdigit() and 0 < int(piece) <= 1 << 14 for piece in pieces):
        raise InvalidDocumentError(place, part, "pixels, such as 224 or 224x320", repr(text))
    return tuple(int(piece) for piece in pieces)
