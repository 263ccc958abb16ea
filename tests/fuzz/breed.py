"""The fuzzing process: breeds inputs for one parser by the lines of `contracts` that they reach, until one breaks it.

python -m tests.fuzz.breed PARSER CORPUS [libFuzzer's options]
"""

from __future__ import annotations

import resource
import sys
from hashlib import sha256
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["contracts"]):
    from tests.fuzz.parsers import PARSERS, survive


# What an input may cost beyond what the process has when it begins. libFuzzer's own bound counts what a large parent had before.
MAX_BYTES = 600 << 20


def bound_memory() -> None:
    """Let more than the bound end in a MemoryError, which is a finding."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_BYTES, resource.RLIM_INFINITY))


def main() -> None:
    """Plant the seeds in the corpus and breed."""
    name, corpus, *options = sys.argv[1:]
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for seed in PARSERS[name].seeds():
        (folder / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    bound_memory()
    atheris.Setup([sys.argv[0], corpus, *options], lambda raw: survive(name, raw))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
