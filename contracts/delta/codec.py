"""The one place that knows zstd: bounded in what it takes in and gives out."""

from __future__ import annotations

import sys
from typing import Any

from contracts.errors import MalformedDeltaError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL_SMALL = 19
_LEVEL_LARGE = 9
_SMALL_BYTES = 1 << 18
# The longest way back that a decoder follows: a piece and its prefix.
_WINDOW_LOG = 22


def zipped(raw: bytes, prefix: bytes = b"") -> bytes:
    """Return `raw` as one zstd frame that refers to `prefix` where it can."""
    level = _LEVEL_SMALL if len(raw) + len(prefix) <= _SMALL_BYTES else _LEVEL_LARGE
    parameters: dict[int, int] = {zstd.CompressionParameter.compression_level: level}
    if len(raw) + len(prefix) > _SMALL_BYTES:
        parameters[zstd.CompressionParameter.window_log] = _WINDOW_LOG
        parameters[zstd.CompressionParameter.enable_long_distance_matching] = 1
    return zstd.compress(raw, options=parameters, zstd_dict=_prefix(prefix))


def inflated(frame: bytes, max_bytes: int, part: str, prefix: bytes = b"") -> bytes:
    """Return what a frame holds; raise MalformedDeltaError when it is none, or holds more than `max_bytes`."""
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
    decompressor = zstd.ZstdDecompressor(zstd_dict=_prefix(prefix), options=options)
    try:
        raw: bytes = decompressor.decompress(frame, max_bytes + 1)
    except (zstd.ZstdError, EOFError) as error:
        raise MalformedDeltaError(part, "a zstd frame", str(error)) from error
    if len(raw) > max_bytes or not decompressor.eof or decompressor.unused_data:
        raise MalformedDeltaError(part, f"one zstd frame of at most {max_bytes} bytes", f"{len(raw)} bytes and no end there")
    return raw


def _prefix(raw: bytes) -> Any:
    return zstd.ZstdDict(raw, is_raw=True).as_prefix if len(raw) >= 8 else None
