"""When chunks are asked for, and how many at once."""

from __future__ import annotations

from agent.core.transfer import FIRST_SILENCE_S, FIRST_WINDOW, LONGEST_PATIENCE_S, MAX_WINDOW, MIN_WINDOW, Link, Transfer
from contracts.chunks import CHUNK_BYTES


def test_a_transfer_asks_at_once_then_after_half_a_window_then_after_silence() -> None:
    transfer = Transfer(Link())
    assert transfer.waits_s(0, 1.0) == 0
    transfer = transfer.ask(0)
    assert transfer.waits_s(0, 1.0) == FIRST_SILENCE_S
    for _ in range(FIRST_WINDOW // 2):
        assert transfer.waits_s(0, 1.0) > 0
        transfer = transfer.hear(1, CHUNK_BYTES, 0.5)
    assert transfer.waits_s(0.5, 1.0) == 0
    assert transfer.ask(0.5).round == transfer.round


def test_a_transfer_that_nobody_answers_begins_new_rounds_ever_more_rarely() -> None:
    transfer = Transfer(Link()).ask(0).ask(4).ask(12)
    assert transfer.round == 3
    assert transfer.waits_s(12, 1.0) == FIRST_SILENCE_S * 4
    assert transfer.hear(1, CHUNK_BYTES, 13).waits_s(13, 1.0) == FIRST_SILENCE_S


def test_what_a_slow_link_still_carries_does_not_count_as_lost() -> None:
    # Given 25 kB/s: a chunk takes ten seconds
    link = Link(latency_s=0.05).carried(2 * CHUNK_BYTES, 2 * CHUNK_BYTES / 25e3)
    transfer = Transfer(link).ask(0).hear(1, CHUNK_BYTES, 10.5)
    # Then the next want waits for the one after it
    assert transfer.waits_s(11, 0.0) > CHUNK_BYTES / 25e3
    assert link.window == MIN_WINDOW


def test_the_window_grows_to_what_the_link_holds_and_no_further() -> None:
    link = Link().answered(0.1)
    assert link.window == FIRST_WINDOW
    for _ in range(10):  # each window takes one round trip, as on a link without end
        link = link.carried(link.window * CHUNK_BYTES, 0.1)
    assert link.window == MAX_WINDOW
    # 10 MB/s over 100 ms is four chunks; a want goes out at half
    assert MIN_WINDOW < Link(latency_s=0.1, bytes_per_s=10e6).window < 16


def test_a_link_that_slowed_down_is_believed_after_a_while() -> None:
    link = Link(latency_s=0.01, bytes_per_s=100e6)
    for _ in range(20):
        link = link.carried(1 << 20, (1 << 20) / 1e6)
    assert link.bytes_per_s is not None
    assert 1e6 <= link.bytes_per_s < 3e6
    assert link.patience_s < Link(bytes_per_s=1e3).patience_s == LONGEST_PATIENCE_S


def test_the_shortest_round_trip_is_the_links_own() -> None:
    assert Link().answered(0.2).answered(0.05).answered(0.3).latency_s == 0.05


def test_a_wrong_chunk_is_asked_for_again_at_once_in_a_new_round() -> None:
    transfer = Transfer(Link()).ask(0).hear_wrong()
    assert transfer.waits_s(0.1, 1.0) == 0
    assert transfer.ask(0.1).round == 2
