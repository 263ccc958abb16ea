"""The C library's heap as the server keeps it: seen in a process of its own, because the setting stays."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from fleet.heap import ARENAS
from tests.fleet.server import ROOT

PROGRAM = """
import ctypes, sys, threading
from fleet.heap import keep_heap_small
if "small" in sys.argv: keep_heap_small()
library = ctypes.CDLL(None)
library.malloc.restype = library.fdopen.restype = ctypes.c_void_p
together = threading.Barrier(8)
def hold():
    library.malloc(1000)
    together.wait(120)
threads = [threading.Thread(target=hold) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
stream = ctypes.c_void_p(library.fdopen(1, b"w"))
library.malloc_info(0, stream)
library.fflush(stream)
"""


def arenas(*arguments: str) -> int:
    command = (sys.executable, "-c", PROGRAM, *arguments)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=180)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="another C library than glibc")
def test_threads_share_few_parts_of_the_heap() -> None:
    assert arenas("small") <= ARENAS < arenas()
