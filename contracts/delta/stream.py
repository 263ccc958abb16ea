"""Codes the changed words of one stream, and gives the target's words back.

FRAME: u32 length, zstd of (u16 level of each block, 32 bytes bitmap of the contexts in use, then the token frequencies of each of them,
u16, token by token); u16 lanes; u32 states; u32 count and u16 words; then the plain bits of all words that have one of them,
of all that have two, and so on, each group filled up to a byte.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from contracts.delta import rans, words
from contracts.delta.codec import inflated, zipped
from contracts.delta.layout import WORD_BYTES, Word
from contracts.delta.words import BLOCK_WORDS, CONTEXTS
from contracts.errors import MalformedDeltaError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from contracts.delta.words import Contexts, Lengths, Tokens, Unsigned

_COUNT = struct.Struct("<I")
_LANES = struct.Struct("<H")


class Reader:
    """Takes a frame apart; raises MalformedDeltaError past its end."""

    def __init__(self, raw: bytes) -> None:
        """Begin at the start."""
        self._raw = raw
        self._position = 0

    def take(self, length: int) -> bytes:
        """Return the next bytes."""
        part = self._raw[self._position : self._position + length]
        if len(part) != length:
            raise MalformedDeltaError("stream", f"{length} bytes more", f"{len(part)}")
        self._position += length
        return part

    def take_number(self, form: struct.Struct) -> int:
        """Return the next number."""
        number: int = form.unpack(self.take(form.size))[0]
        return number

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self._position != len(self._raw):
            raise MalformedDeltaError("stream", "its end", f"{len(self._raw) - self._position} bytes more")


def encode(kind: Word, base: bytes, target: bytes) -> bytes:
    """Code the target's words by what they differ from the base's; both have the same length."""
    import numpy as np

    before, after = (np.frombuffer(raw, words.unsigned(kind)) for raw in (base, target))
    difference = words.folded(kind, before, after)
    levels = words.levels_of(kind, before, difference)
    contexts = words.contexts(kind, before, levels)
    tokens, lengths = words.split(difference)
    width = words.token_count(kind)
    counts = np.bincount(contexts.astype(np.int64) * width + tokens, minlength=CONTEXTS * width).reshape(CONTEXTS, width)
    used = counts.any(axis=1)
    frequencies = rans.scaled(counts[used])
    coded = rans.encode(tokens, (np.cumsum(used) - 1).astype(np.uint16)[contexts], frequencies)
    model = zipped(levels.astype("<u2").tobytes() + np.packbits(used).tobytes() + frequencies.T.astype("<u2").tobytes())
    parts = [_COUNT.pack(len(model)), model, _LANES.pack(len(coded.states)), coded.states.astype("<u4").tobytes()]
    parts += [_COUNT.pack(len(coded.words)), coded.words.astype("<u2").tobytes(), *_plain_bits(difference, lengths)]
    return b"".join(parts)


def decode(kind: Word, base: bytes, frame: bytes) -> bytes:
    """Return the target's words; raise MalformedDeltaError."""
    import numpy as np

    before = np.frombuffer(base, words.unsigned(kind))
    reader = Reader(frame)
    rows, frequencies = _model(kind, before, reader.take(reader.take_number(_COUNT)))
    lanes = reader.take_number(_LANES)
    if lanes != rans.lanes_for(len(before)):
        raise MalformedDeltaError("stream", f"{rans.lanes_for(len(before))} lanes", str(lanes))
    states = np.frombuffer(reader.take(4 * lanes), "<u4")
    coded = rans.Coded(states, np.frombuffer(reader.take(2 * reader.take_number(_COUNT)), "<u2"))
    tokens = rans.decode(coded, rows, frequencies)
    difference = _with_plain_bits(kind, tokens, reader)
    reader.end()
    return words.unfolded(kind, before, difference).tobytes()


def _model(kind: Word, before: Unsigned, model: bytes) -> tuple[Contexts, Contexts]:
    """Return each word's row of frequencies, and all rows."""
    import numpy as np

    blocks, width = -(-len(before) // BLOCK_WORDS), words.token_count(kind)
    reader = Reader(inflated(model, 2 * blocks + CONTEXTS // 8 + 2 * CONTEXTS * width, "stream"))
    levels = np.frombuffer(reader.take(2 * blocks), "<u2")
    used = np.unpackbits(np.frombuffer(reader.take(CONTEXTS // 8), np.uint8)).astype(bool)
    frequencies = np.frombuffer(reader.take(2 * width * int(used.sum())), "<u2").reshape(width, -1).T
    reader.end()
    contexts = words.contexts(kind, before, levels)
    if not used[contexts].all() or not (frequencies.sum(axis=1, dtype=np.int64) == rans.TOTAL).all():
        raise MalformedDeltaError("stream", f"frequencies that sum to {rans.TOTAL} for each context", "others")
    return (np.cumsum(used) - 1).astype(np.uint16)[contexts], np.ascontiguousarray(frequencies, np.uint16)


def _plain_bits(difference: Unsigned, lengths: Lengths) -> list[bytes]:
    import numpy as np

    parts = []
    for length in range(1, 8 * difference.itemsize):
        numbers = difference[lengths == length]
        if len(numbers):
            bits = np.unpackbits(_as_bytes(numbers), axis=1)[:, -length:]
            parts.append(np.packbits(bits).tobytes())
    return parts


def _with_plain_bits(kind: Word, tokens: Tokens, reader: Reader) -> Unsigned:
    import numpy as np

    difference, lengths = words.joined(kind, tokens)
    bits_in_word = 8 * WORD_BYTES[kind]
    for length in range(1, bits_in_word):
        places = np.flatnonzero(lengths == length)
        if not len(places):
            continue
        packed = np.frombuffer(reader.take(-(-len(places) * length // 8)), np.uint8)
        bits = np.zeros((len(places), bits_in_word), np.uint8)
        bits[:, -length:] = np.unpackbits(packed, count=len(places) * length).reshape(-1, length)
        difference[places] |= np.packbits(bits, axis=1).view(f">u{WORD_BYTES[kind]}")[:, 0].astype(difference.dtype)
    return difference


def _as_bytes(numbers: Unsigned) -> npt.NDArray[np.uint8]:
    import numpy as np

    big = numbers.astype(f">u{numbers.itemsize}")
    return big.view(np.uint8).reshape(len(numbers), numbers.itemsize)
