"""How fast, and at what hours, bytes may flow."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from contracts.pace import Budget, Hours


@pytest.mark.parametrize(
    ("hours", "at", "opens_in_h"),
    [
        ("22:00-06:00", "23:00", 0),
        ("22:00-06:00", "05:59", 0),
        ("22:00-06:00", "06:00", 16),
        ("01:30-02:30", "02:30", 23),
        ("03:00-03:00", "12:00", 0),
    ],
)
def test_hours_open_every_day(hours: str, at: str, opens_in_h: float) -> None:
    parsed = Hours.parse(hours)
    assert parsed is not None
    now = datetime.fromisoformat(f"2026-03-04T{at}").replace(tzinfo=timezone.utc)
    assert parsed.opens_in_s(now) == pytest.approx(3600 * opens_in_h)


def test_no_hours_are_always() -> None:
    assert Hours.parse("") is None


def test_a_debt_is_paid_at_the_rate_and_a_pause_saves_little() -> None:
    budget = Budget(100.0).at(0).spend(300)
    assert budget.wait_s == 3
    assert budget.at(2).wait_s == 1
    assert budget.at(100).left == 10


def test_no_rate_is_no_limit() -> None:
    assert Budget(0.0).at(5).spend(1 << 40).wait_s == 0
