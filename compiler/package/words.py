"""How people read the report's numbers: shares in percent, differences of shares in points, sizes in decimal units."""

from __future__ import annotations

from typing import Literal

from contracts.manifest import Flips

Unit = Literal["share", "value"]


def percent(share: float) -> str:
    """Write a share as people read it."""
    return f"{100 * share:.2f} %"


def points(share: float) -> str:
    """Write a difference of shares in percentage points, with a true minus sign."""
    return f"{100 * share:+.2f}".replace("-", "−") if round(100 * share, 2) else "0.00"


def value(number: float, unit: Unit) -> str:
    """Write a metric: a share, or a number with four digits."""
    return percent(number) if unit == "share" else f"{number:.4g}".replace("-", "−")


def change(number: float, unit: Unit) -> str:
    """Write how much worse a metric is."""
    if unit == "share":
        return points(number)
    return f"{number:+.3g}".replace("-", "−") if number else "0"


def budget(number: float, unit: Unit) -> str:
    """Write how much worse it may be."""
    return f"{100 * number:.2f} points" if unit == "share" else f"{number:g}"


def flips(found: Flips) -> str:
    """Say how many answers changed, and which way."""
    changed = f"{found.changed:,} answer{'s' if found.changed != 1 else ''} changed"
    if found.lost is None or found.gained is None:
        return changed
    other = found.changed - found.lost - found.gained
    return f"{changed}: {found.lost:,} right to wrong, {found.gained:,} wrong to right, {other:,} wrong to otherwise wrong"


def size(count: int) -> str:
    """Write a number of bytes in decimal units."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1000)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
