"""Whose connections are ended when somebody is turned out, and how often: a broker that follows late lets him in once more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import pytest

from fleet.errors.server import LinkDownError
from fleet.south.gate import Gate

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


class Stage:
    """Credentials, authority, broker and link of a gate in one, which remember in which order they were asked, and a clock."""

    def __init__(self, lag_s: float) -> None:
        """Everybody is in, and the link is up."""
        self.lag_s = lag_s
        self.now_s = 0.0
        self.is_up = True
        self.is_down_while_published = False
        self.out: tuple[str, ...] = ()
        self.told: list[str] = []

    def revoked(self) -> tuple[str, ...]:
        """Return who is out."""
        return self.out

    def revoked_serials(self, now: datetime) -> tuple[str, ...]:
        """Return nobody's certificate."""
        return ()

    def revocation_list(self, serials: Sequence[str], now: datetime) -> bytes:
        """Sign nothing."""
        return b""

    def admit(self, revoked: Sequence[str], revocation_list: bytes) -> None:
        """Take the rules."""
        self.told.append("rules")

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        """Take the order to end connections."""
        if self.is_down_while_published:
            raise LinkDownError("the broker", "away")
        self.told.append("end")

    def gate(self) -> Gate:
        """Return a gate between them."""
        return Gate(self, self, self, self, lambda: self.now_s)


@pytest.mark.parametrize(("lag_s", "ends"), [(0.0, 1), (5.0, 2)])
def test_connections_end_after_the_rules_are_told_and_once_more_where_the_broker_follows_late(lag_s: float, ends: int) -> None:
    stage = Stage(lag_s)
    gate = stage.gate()
    # When somebody is turned out, then his connections end at once
    gate.shut_out("bad", NOW)
    gate.turn()
    assert stage.told == ["rules", "end"]
    # And once more when the broker surely follows the rules, for who came back before it did
    stage.now_s = 4.9
    gate.turn()
    assert stage.told == ["rules", "end"]
    for stage.now_s in (5.0, 5.1, 60.0):
        gate.turn()
    assert stage.told == ["rules", *["end"] * ends]


def test_whom_another_server_turned_out_is_told_as_often_and_whatever_the_link_did_not_take_waits() -> None:
    stage = Stage(lag_s=5.0)
    gate = stage.gate()
    # Given somebody whom another server turned out, and a link that is lost just then
    stage.out, stage.is_down_while_published = ("bad",), True
    gate.follow()
    gate.turn()
    stage.now_s = 7.0
    gate.turn()
    assert stage.told == []
    # When it is back, then his connections end, and that was all
    stage.is_down_while_published = False
    for _ in range(2):
        gate.follow()
        gate.turn()
    assert stage.told == ["end"]
