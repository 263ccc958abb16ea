"""Touches how this process keeps its memory: threads share few parts of the C library's heap, and Python seldom looks for circles.

By default glibc gives every thread a part of its own that it seldom shrinks: of a server's 410 MB, 210 MB lay there.
"""

from __future__ import annotations

import ctypes
import gc

# Numbers of glibc's malloc.h; other C libraries have no such function.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
ARENAS = 2
LARGE_BYTES = 256 * 1024
SPARE_BYTES = 1 << 20
# A batch of messages makes so many objects, and nothing in them leads back to itself.
YOUNG_OBJECTS, YOUNG_ROUNDS, MIDDLE_ROUNDS = 50_000, 20, 20


def keep_heap_small() -> None:
    """Hold for this process from now on; to be called before it has threads."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for what, value in ((_ARENA_MAX, ARENAS), (_MMAP_THRESHOLD, LARGE_BYTES), (_TRIM_THRESHOLD, SPARE_BYTES)):
            library.mallopt(what, value)


def put_garbage_off() -> None:
    """Look for no circles until `let_garbage_wait`: nearly all that a start makes stays, and would be looked through again and again."""
    gc.disable()


def let_garbage_wait() -> None:
    """Look for circles seldom from now on, and never through what is there by now; to be called when all parts are."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, MIDDLE_ROUNDS)
    gc.enable()
