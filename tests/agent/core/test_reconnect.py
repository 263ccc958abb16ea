"""Ten thousand devices whose broker comes back: simulated second by second, beside clients that only double their wait."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from agent.core.reconnect import BUSY_KEEPALIVES, FLOOR_KEEPALIVES, LONGEST_KEEPALIVES, Loss, loss_of, wait_s

DEVICES = 10_000
KEEPALIVE_S = 15.0
SERVER_BUSY = 0x89
# What one mosquitto with mutual TLS takes on a small machine.
CONNECTS_PER_S = 500


@dataclass(frozen=True)
class Story:
    """What the broker saw."""

    # Most attempts within one second, from the second on in which it was back.
    peak_per_s: int
    attempts: int
    # When half and when 99 percent of the devices were connected, counted from its return.
    half_back_s: float
    nearly_all_back_s: float


def play(wait: Callable[[Loss, int, float], float], down_s: float, capacity: int = CONNECTS_PER_S) -> Story:
    """Let all devices lose a broker at once that is down for a while, and then takes so many connections a second."""
    chance = random.Random(7)
    due = [(wait(Loss.SHARED, 1, chance.random()), device, 1) for device in range(DEVICES)]
    heapq.heapify(due)
    asked: Counter[int] = Counter()
    taken: Counter[int] = Counter()
    back: list[float] = []
    while due:
        now_s, device, failures = heapq.heappop(due)
        second = int(now_s)
        asked[second] += 1
        is_up = now_s >= down_s
        if is_up and taken[second] < capacity:
            taken[second] += 1
            back.append(now_s - down_s)
            continue
        loss = loss_of(SERVER_BUSY) if is_up else loss_of(None)
        heapq.heappush(due, (now_s + wait(loss, failures + 1, chance.random()), device, failures + 1))
    peak = max(count for second, count in asked.items() if second >= int(down_s))
    return Story(peak, asked.total(), back[DEVICES // 2], back[DEVICES * 99 // 100])


def ours(loss: Loss, failures: int, chance: float) -> float:
    return wait_s(loss, failures, chance, KEEPALIVE_S)


def naive(_loss: Loss, failures: int, _chance: float) -> float:
    """Wait as paho's own loop does: a second, doubled up to two minutes."""
    return min(120.0, 2.0 ** (failures - 1))


@pytest.mark.parametrize(("down_s", "peak_per_s", "all_back_s"), [(2.0, 800, 180.0), (60.0, 400, 240.0), (1800.0, 150, 330.0)])
def test_ten_thousand_devices_do_not_crush_a_broker_that_comes_back(
    down_s: float, peak_per_s: int, all_back_s: float, tell: Callable[[str], None]
) -> None:
    spread, stampede = play(ours, down_s), play(naive, down_s)
    tell(
        f"{DEVICES} devices, broker down {down_s:g} s: at most {spread.peak_per_s} connects/s (doubling: {stampede.peak_per_s}), "
        f"half back after {spread.half_back_s:.0f} s ({stampede.half_back_s:.0f} s), "
        f"99 % after {spread.nearly_all_back_s:.0f} s ({stampede.nearly_all_back_s:.0f} s), "
        f"{spread.attempts} attempts in all ({stampede.attempts})"
    )
    assert stampede.peak_per_s > 0.9 * DEVICES
    assert spread.peak_per_s <= peak_per_s
    assert spread.nearly_all_back_s <= all_back_s


def test_a_small_fleet_is_back_within_a_keepalive() -> None:
    waits = [ours(Loss.SHARED, 1, chance / 100) for chance in range(101)]
    assert min(waits) == FLOOR_KEEPALIVES * KEEPALIVE_S
    assert max(waits) <= 1.1 * KEEPALIVE_S


def test_a_busy_broker_is_left_alone_longer_and_an_own_loss_is_mended_sooner() -> None:
    for failures in range(1, 10):
        assert ours(Loss.BUSY, failures, 0.0) >= KEEPALIVE_S
        assert ours(Loss.OWN, failures, 0.5) <= ours(Loss.SHARED, failures, 0.5) <= ours(Loss.BUSY, failures, 0.5)
    assert ours(Loss.BUSY, 1, 1.0) == (1 + BUSY_KEEPALIVES) * KEEPALIVE_S


def test_waits_end_at_a_longest_one() -> None:
    assert ours(Loss.SHARED, 1000, 1.0) == pytest.approx((FLOOR_KEEPALIVES + LONGEST_KEEPALIVES) * KEEPALIVE_S)


@pytest.mark.parametrize(
    ("code", "loss"),
    [
        (None, Loss.SHARED),
        (0x80, Loss.SHARED),
        (0x8B, Loss.SHARED),
        (0x89, Loss.BUSY),
        (0x97, Loss.BUSY),
        (0x9F, Loss.BUSY),
        (0x8D, Loss.OWN),
    ],
)
def test_a_reason_code_says_whom_a_loss_concerns(code: int | None, loss: Loss) -> None:
    assert loss_of(code) is loss
