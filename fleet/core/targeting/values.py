"""What a query compares with: text, versions, amounts with units; each has one way to be written that reads back as itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

BYTES_BY_UNIT = {
    "TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10,
    "TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3, "KB": 10**3, "B": 1, "": 1,
}  # fmt: skip
SECONDS_BY_UNIT = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_AMOUNT = re.compile(r"(-?[0-9]{1,15}(?:\.[0-9]{1,6})?)([A-Za-z%]{0,3})")
_VERSION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9}){0,7})(.{0,100})")
_BEFORE_THE_RELEASE = re.compile(r"[.-]?(a|b|rc|dev|alpha|beta)", re.IGNORECASE)

VersionKey = tuple[tuple[int, ...], int]


@dataclass(frozen=True)
class Text:
    """A name."""

    text: str

    def __str__(self) -> str:
        return f'"{self.text}"'


@dataclass(frozen=True)
class Version:
    """Such as 1.18; two are compared number by number."""

    text: str

    def __str__(self) -> str:
        return f'"{self.text}"'


@dataclass(frozen=True)
class Size:
    """A number of bytes."""

    bytes: int

    def __str__(self) -> str:
        unit = next(unit for unit, length in BYTES_BY_UNIT.items() if self.bytes % length == 0) if self.bytes else "B"
        return f"{self.bytes // BYTES_BY_UNIT[unit]}{unit}"


@dataclass(frozen=True)
class Percent:
    """A share of what there is."""

    percent: Decimal

    def __str__(self) -> str:
        return f"{plain_number(self.percent)}%"


@dataclass(frozen=True)
class Celsius:
    """A temperature."""

    degrees: Decimal

    def __str__(self) -> str:
        return f"{plain_number(self.degrees)}C"


@dataclass(frozen=True)
class Age:
    """How long ago."""

    seconds: int

    def __str__(self) -> str:
        unit = next(unit for unit, length in SECONDS_BY_UNIT.items() if self.seconds % length == 0) if self.seconds else "s"
        return f"{self.seconds // SECONDS_BY_UNIT[unit]}{unit}"


Value = Text | Version | Size | Percent | Celsius | Age


def size_or_percent(text: str) -> Size | Percent | None:
    """Read 500MB, 1.5GiB, 4096 or 20%."""
    number, unit = _split(text)
    if number is None or number < 0:
        return None
    if unit == "%":
        return Percent(number) if number <= 100 else None
    return Size(int(number * BYTES_BY_UNIT[unit])) if unit in BYTES_BY_UNIT else None


def size(text: str) -> Size | None:
    """Read 500MB, 1.5GiB or 4096."""
    found = size_or_percent(text)
    return found if isinstance(found, Size) else None


def celsius(text: str) -> Celsius | None:
    """Read 70 or 70C."""
    number, unit = _split(text)
    return Celsius(number) if number is not None and unit in ("", "C") else None


def age(text: str) -> Age | None:
    """Read 30s, 15m, 12h or 7d."""
    number, unit = _split(text)
    if number is None or number < 0 or unit not in SECONDS_BY_UNIT:
        return None
    return Age(int(number * SECONDS_BY_UNIT[unit]))


def version(text: str) -> Version | None:
    """Read 1.18."""
    return Version(text) if version_key(text) is not None else None


@lru_cache(4096)
def version_key(text: str) -> VersionKey | None:
    """Return what orders versions: 1.18 is 1.18.0, 1.18rc1 comes before it; None for what is no version."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    numbers = [int(number) for number in match[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), 0 if _BEFORE_THE_RELEASE.match(match[2]) else 1


def plain_number(number: Decimal) -> str:
    """Write a number without an exponent and without zeros that say nothing."""
    text = f"{abs(number) if number == 0 else number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _split(text: str) -> tuple[Decimal | None, str]:
    match = _AMOUNT.fullmatch(text)
    return (Decimal(match[1]), match[2]) if match else (None, "")
