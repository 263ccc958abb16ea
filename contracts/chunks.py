"""How a file is cut for the wire: 256 KiB pieces named by digest, and the bitmap of those still wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from contracts.codec import sha256_of
from contracts.errors import InvalidDocumentError

CHUNK_BYTES = 256 * 1024
MAX_FILE_BYTES = 64 << 30
# Where the fleet's server holds files for devices: `/<sha256>` is added, ranges are answered.
ARTIFACTS_PATH = "/device/v1/artifacts"


def chunk_count(size: int) -> int:
    """Return how many chunks `size` bytes make; an empty file has one, empty."""
    return max(1, -(-size // CHUNK_BYTES))


def chunk_length(size: int, index: int) -> int:
    """Return the number of bytes in chunk `index` of a file of `size` bytes."""
    return min(CHUNK_BYTES, size - index * CHUNK_BYTES)


def chunk_digests(raw: bytes) -> tuple[str, ...]:
    """Return each chunk's digest, in order."""
    return tuple(sha256_of(raw[start : start + CHUNK_BYTES]) for start in range(0, max(len(raw), 1), CHUNK_BYTES))


@dataclass(frozen=True)
class Bitmap:
    """A set of chunk indexes below `count`; on the wire hex, bit 0 of the first byte being chunk 0."""

    count: int
    bits: int

    @classmethod
    def of(cls, count: int, indexes: Iterable[int]) -> Bitmap:
        """Build from indexes; ValueError for one outside 0..count-1."""
        bits = 0
        for index in indexes:
            if not 0 <= index < count:
                raise ValueError(f"chunk {index} of {count}")
            bits |= 1 << index
        return cls(count, bits)

    @classmethod
    def full(cls, count: int) -> Bitmap:
        """Every chunk."""
        return cls(count, (1 << count) - 1)

    @classmethod
    def from_hex(cls, count: int, text: str) -> Bitmap:
        """Read the wire form; raise InvalidDocumentError when it does not fit `count` chunks."""
        expected = f"{2 * -(-count // 8)} hex digits with no bit past chunk {count - 1}"
        try:
            raw = bytes.fromhex(text)
        except ValueError as error:
            raise InvalidDocumentError("want", "bitmap", expected, repr(text[:40])) from error
        bits = int.from_bytes(raw, "little")
        if len(raw) != -(-count // 8) or bits >> count:
            raise InvalidDocumentError("want", "bitmap", expected, f"{len(text)} digits")
        return cls(count, bits)

    def to_hex(self) -> str:
        """Return the wire form."""
        return self.bits.to_bytes(-(-self.count // 8), "little").hex()

    def __contains__(self, index: int) -> bool:
        return bool(self.bits >> index & 1)

    def __iter__(self) -> Iterator[int]:
        for place, byte in enumerate(self.bits.to_bytes(-(-self.count // 8), "little")):
            if byte:
                yield from (8 * place + bit for bit in range(8) if byte >> bit & 1)

    def __len__(self) -> int:
        return self.bits.bit_count()

    def without(self, *indexes: int) -> Bitmap:
        """Return the set less some indexes."""
        gone = 0
        for index in indexes:
            gone |= 1 << index
        return Bitmap(self.count, self.bits & ~gone)
