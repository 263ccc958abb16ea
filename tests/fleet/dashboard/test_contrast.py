"""Every text colour of the style sheet can be read on what it stands on, in the light and in the dark."""

from __future__ import annotations

import re

import pytest

from fleet.dashboard.theme import STATIC

# WCAG 2.2, success criterion 1.4.3: normal text.
MIN_CONTRAST = 4.5
SURFACES = ("page", "card", "raised")
PAIRS = [
    *((ink, surface) for ink in ("ink", "ink-2", "accent") for surface in SURFACES),
    *((tone, surface) for tone in ("good", "busy", "warn", "bad", "quiet") for surface in (f"{tone}-bg", "card")),
    ("head-ink", "head"),
    ("head-ink-2", "head"),
]


def colours(theme: str) -> dict[str, str]:
    """Return a theme's variables."""
    block = re.search(rf"body\.body--{theme} \{{(.*?)\}}", (STATIC / "fieldfare.css").read_text(), re.DOTALL)
    assert block is not None
    return dict(re.findall(r"--ff-([a-z0-9-]+): (#[0-9a-f]{6});", block[1]))


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "surface"), PAIRS)
def test_text_stands_out_from_its_surface(theme: str, ink: str, surface: str) -> None:
    found = colours(theme)
    darker, lighter = sorted((luminance(found[ink]), luminance(found[surface])))
    assert (lighter + 0.05) / (darker + 0.05) >= MIN_CONTRAST


def test_both_themes_name_the_same_colours() -> None:
    assert set(colours("light")) == set(colours("dark"))
