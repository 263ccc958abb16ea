"""Codes tokens by their probabilities: range asymmetric numeral systems, many lanes side by side, so that numpy does all of them at once.

Token number `i` belongs to lane `i % lanes`. Each lane is a 32-bit state that gives up, or takes in, 16 bits at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.errors import MalformedDeltaError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Words = npt.NDArray[np.uint16]
    Counts = npt.NDArray[np.int64]
    Tokens = npt.NDArray[np.uint8]
    Rows = npt.NDArray[np.uint16]

PROBABILITY_BITS = 12
TOTAL = 1 << PROBABILITY_BITS
_LOWEST = 1 << 16
_TOKENS_PER_LANE = 4096
_MAX_LANES = 512


@dataclass(frozen=True)
class Coded:
    """The lanes' last states, and the 16-bit words in the order in which a decoder takes them."""

    states: npt.NDArray[np.uint32]
    words: Words


def lanes_for(count: int) -> int:
    """Return how many lanes `count` tokens are spread over: a lane costs 2 bytes, a step of all lanes some microseconds."""
    return max(1, min(_MAX_LANES, count // _TOKENS_PER_LANE))


def scaled(counts: Counts) -> Words:
    """Turn each row of counts into frequencies that sum to TOTAL; what occurs keeps at least 1, a row of zeros stays so."""
    import numpy as np

    sums = counts.sum(axis=1, keepdims=True)
    rows = np.where(counts > 0, np.maximum(1, counts * TOTAL // np.maximum(sums, 1)), 0)
    for index in np.flatnonzero(sums[:, 0]):
        _settle(rows[index])
    return rows.astype(np.uint16)


def _settle(row: Counts) -> None:
    surplus = int(row.sum()) - TOTAL
    while surplus:
        largest = int(row.argmax())
        change = -surplus if surplus < 0 else -min(surplus, max(1, int(row[largest]) // 2))
        row[largest] += change
        surplus += change


def encode(tokens: Tokens, rows: Rows, frequencies: Words) -> Coded:
    """Code tokens; `rows` names the row of `frequencies` for each."""
    import numpy as np

    count, lanes = len(tokens), lanes_for(len(tokens))
    entries = rows.astype(np.int32) * frequencies.shape[1] + tokens
    frequency = frequencies.astype(np.uint32)
    size = frequency.reshape(-1)[entries]
    start = (np.cumsum(frequency, axis=1, dtype=np.uint32) - frequency).reshape(-1)[entries]
    states = np.full(lanes, _LOWEST, np.uint32)
    given: list[npt.NDArray[np.uint32]] = []
    for first in range((count - 1) // lanes * lanes, -1, -lanes):
        f = size[first : first + lanes]
        x = states[: len(f)]
        full = np.flatnonzero(x >> (32 - PROBABILITY_BITS) >= f)
        if len(full):
            high = x[full]
            given.append(high)
            x[full] = high >> 16
        # The same as x // f * TOTAL + x % f, and the token's start.
        x += x // f * (TOTAL - f) + start[first : first + lanes]
    given.append(np.zeros(0, np.uint32))
    return Coded(states, np.concatenate(given[::-1]).astype(np.uint16))


def decode(coded: Coded, rows: Rows, frequencies: Words) -> Tokens:
    """Return the tokens; raise MalformedDeltaError unless every word is used and every lane ends where coding began.

    Each row of `frequencies` that `rows` names must sum to TOTAL.
    """
    import numpy as np

    count, lanes = len(rows), len(coded.states)
    starts = (np.cumsum(frequencies, axis=1, dtype=np.uint32) - frequencies).astype(np.uint32)
    width = frequencies.shape[1]
    # Which of all rows' tokens each slot stands for.
    entry_at = np.repeat(np.arange(frequencies.size, dtype=np.uint16), frequencies.reshape(-1))
    flat_frequencies, flat_starts = frequencies.reshape(-1).astype(np.uint32), starts.reshape(-1)
    row_slots = rows.astype(np.int32) * TOTAL
    entries = np.empty(count, np.uint16)
    words = np.append(coded.words.astype(np.uint32), np.zeros(lanes, np.uint32))
    states, position = coded.states.copy(), 0
    for first in range(0, count, lanes):
        end = min(first + lanes, count)
        x = states[: end - first]
        slot = x & (TOTAL - 1)
        entry = entry_at[row_slots[first:end] + slot]
        entries[first:end] = entry
        x = flat_frequencies[entry] * (x >> PROBABILITY_BITS) + slot - flat_starts[entry]
        low = np.flatnonzero(x < _LOWEST)
        if position + len(low) > len(coded.words):
            raise MalformedDeltaError("stream", "more words", f"the end after {len(coded.words)}")
        x[low] = (x[low] << 16) | words[position : position + len(low)]
        position += len(low)
        states[: end - first] = x
    if position != len(coded.words) or not (states == _LOWEST).all():
        raise MalformedDeltaError("stream", "lanes that end where coding began", "others")
    tokens: Tokens = (entries % width).astype(np.uint8)
    return tokens
