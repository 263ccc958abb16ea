"""A command is obeyed once: whatever is forgotten is too old to be obeyed, and no clock has a say in it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from agent.core.command_ledger import MAX_KNOWN, CommandLedger
from contracts.commands import Command, LogsOrder

START = datetime(2026, 11, 21, tzinfo=timezone.utc)


def command(number: int, second: int) -> Command:
    """Return a command that was issued at some second."""
    issued_at = START + timedelta(seconds=second)
    expires_at = issued_at + timedelta(hours=1)
    return Command(id=f"{number:032x}", device="pi-1", asker="anna", issued_at=issued_at, expires_at=expires_at, order=LogsOrder())


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=3 * MAX_KNOWN))
def test_what_was_obeyed_is_known_for_ever_in_bounded_room(seconds: list[int]) -> None:
    ledger = CommandLedger()
    obeyed = []
    for number, second in enumerate(seconds):
        one = command(number, second)
        if not ledger.has(one, "keys"):
            ledger = ledger.after(one, "keys")
            obeyed.append(one)
    assert len(ledger.known) <= MAX_KNOWN
    assert all(ledger.has(one, "keys") for one in obeyed)


def test_commands_of_one_second_are_told_apart_while_they_are_known() -> None:
    ledger = CommandLedger().after(command(1, 5), "keys")
    assert not ledger.has(command(2, 5), "keys")
    assert not ledger.has(command(3, 4), "keys")


def test_under_other_keys_counting_starts_over() -> None:
    ledger = CommandLedger()
    for number in range(MAX_KNOWN + 1):
        ledger = ledger.after(command(number, 10**6), "stolen")
    assert ledger.has(command(999, 5), "stolen")
    assert not ledger.has(command(999, 5), "new")
    assert ledger.after(command(999, 5), "new").known[0].id == command(999, 5).id


def test_a_ledger_that_cannot_be_read_trusts_nothing_from_before() -> None:
    ledger = CommandLedger().closed_until(START + timedelta(seconds=10))
    assert ledger.has(command(1, 10), "keys")
    assert not ledger.has(command(1, 11), "keys")
    assert ledger.after(command(1, 11), "keys").has(command(2, 10), "keys")
