"""Turns changed words into tokens, bits that no model foretells, and the context that foretells each token; and back.

A difference is folded to a natural number, small ones being likely. Below 16 it is a token itself; above, the token says where its
highest bit is and what the next two are, and the rest are plain bits. The context is how much the words around it changed
(`levels`, one for each block) and how large the word was before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.delta.layout import WORD_BYTES, Word

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Unsigned = npt.NDArray[np.unsignedinteger[npt.NBitBase]]
    Tokens = npt.NDArray[np.uint8]
    Levels = npt.NDArray[np.uint16]
    Contexts = npt.NDArray[np.uint16]
    Lengths = npt.NDArray[np.int16]

BLOCK_WORDS = 512
CONTEXTS = 256
# Bits of the fraction, and the mask of the exponent.
_FLOATS: dict[Word, tuple[int, int]] = {"f16": (10, 31), "bf16": (7, 255), "f32": (23, 255), "f64": (52, 2047)}
_PLAIN_TOKENS = 16
_MAX_INT_LEVEL = 31


def token_count(kind: Word) -> int:
    """Return how many tokens words of a kind can make."""
    return 32 * WORD_BYTES[kind]


def folded(kind: Word, base: Unsigned, target: Unsigned) -> Unsigned:
    """Return each difference as a natural number: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    bits = 8 * WORD_BYTES[kind]
    difference = (_ordered(kind, target) - _ordered(kind, base)).view(_signed(kind))
    result: Unsigned = ((difference << 1) ^ (difference >> (bits - 1))).view(base.dtype)
    return result


def unfolded(kind: Word, base: Unsigned, difference: Unsigned) -> Unsigned:
    """Return the target's words."""
    one = base.dtype.type(1)
    plain = (difference >> one) ^ (~(difference & one) + one)
    return _ordered(kind, _ordered(kind, base) + plain)


def levels_of(kind: Word, base: Unsigned, difference: Unsigned) -> Levels:
    """Return how much each block of words changed, on a logarithmic scale; 0 for not at all."""
    import numpy as np

    edges = np.arange(0, len(base), BLOCK_WORDS)
    counts = np.diff(np.append(edges, len(base)))
    if kind in _FLOATS:
        # How large the change was, whatever the word: its place in the word and the word's exponent together.
        sums = np.add.reduceat(bit_lengths(difference) + _exponents(kind, base), edges)
        return np.where(np.maximum.reduceat(difference, edges) == 0, 0, 1 + np.rint(4 * sums / counts)).astype(np.uint16)
    means = np.add.reduceat(difference, edges, dtype=np.float64) / counts
    level = np.clip(np.rint(2 * np.log2(np.maximum(means, 2.0**-10))) + 12, 1, _MAX_INT_LEVEL)
    return np.where(means == 0, 0, level).astype(np.uint16)


def contexts(kind: Word, base: Unsigned, levels: Levels) -> Contexts:
    """Return the context of each word, below CONTEXTS."""
    import numpy as np

    level = np.repeat(levels, BLOCK_WORDS)[: len(base)]
    if kind in _FLOATS:
        foretold = level.astype(np.int32) - 4 * _exponents(kind, base)
        return np.where(level == 0, 0, np.clip(foretold, 1, CONTEXTS - 1)).astype(np.uint16)
    size = bit_lengths(_magnitudes(kind, base)) // WORD_BYTES[kind]
    return (np.minimum(level, _MAX_INT_LEVEL) * 8 + np.minimum(size, 7)).astype(np.uint16)


def split(difference: Unsigned) -> tuple[Tokens, Lengths]:
    """Return each number's token, and how many of its lowest bits the token does not tell."""
    import numpy as np

    highest = bit_lengths(difference) - 1
    is_plain = difference < _PLAIN_TOKENS
    length = np.where(is_plain, 0, highest - 2).astype(np.int16)
    rest = (difference >> length.astype(difference.dtype)).astype(np.int32) & 3
    return np.where(is_plain, difference, _PLAIN_TOKENS + 4 * (highest - 4) + rest).astype(np.uint8), length


def joined(kind: Word, tokens: Tokens) -> tuple[Unsigned, Lengths]:
    """Return each token's number with its lowest bits zero, and how many those are."""
    import numpy as np

    token = np.arange(token_count(kind))
    lengths = np.maximum(0, (token - _PLAIN_TOKENS) // 4 + 2)
    lengths[:_PLAIN_TOKENS] = 0
    tops = [int(each) if each < _PLAIN_TOKENS else (4 + (int(each) & 3)) << int(lengths[each]) for each in token]
    return np.array(tops, unsigned(kind))[tokens], lengths.astype(np.int16)[tokens]


def bit_lengths(numbers: Unsigned) -> Lengths:
    """Return the number of bits up to the highest that is set."""
    import numpy as np

    # The smallest float that holds each number exactly, or at least its size.
    form = np.float32 if numbers.dtype.itemsize <= 2 else np.float64
    length = np.frexp(numbers.astype(form))[1].astype(np.int16)
    if numbers.dtype.itemsize == 8:
        # Just below a power of two, the nearest float is that power.
        length -= (numbers >> np.maximum(length - 1, 0).astype(numbers.dtype) == 0) & (length > 0)
    return length


def unsigned(kind: Word) -> str:
    """Return numpy's name for words of a kind, read as numbers."""
    return f"<u{WORD_BYTES[kind]}"


def _signed(kind: Word) -> str:
    return f"<i{WORD_BYTES[kind]}"


def _ordered(kind: Word, words: Unsigned) -> Unsigned:
    """Make neighbours of neighbouring floats, also about zero; the same again undoes it."""
    if kind not in _FLOATS:
        return words
    bits = 8 * WORD_BYTES[kind]
    signed = words.view(_signed(kind))
    ordered: Unsigned = (signed ^ ((signed >> (bits - 1)) & ((1 << (bits - 1)) - 1))).view(words.dtype)
    return ordered


def _exponents(kind: Word, words: Unsigned) -> npt.NDArray[np.int32]:
    import numpy as np

    fraction_bits, mask = _FLOATS[kind]
    exponents: npt.NDArray[np.int32] = ((words >> words.dtype.type(fraction_bits)) & words.dtype.type(mask)).astype(np.int32)
    return exponents


def _magnitudes(kind: Word, words: Unsigned) -> Unsigned:
    signed = words.view(_signed(kind))
    magnitudes: Unsigned = (signed ^ (signed >> (8 * WORD_BYTES[kind] - 1))).view(words.dtype)
    return magnitudes
