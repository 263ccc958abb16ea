"""No byte of what a device trusts may change: each one of each metadata file and of a wish is flipped in turn, and refused."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.sim.judge import Judge
from tests.sim.releases import make_release
from tests.sim.repository import Repository
from tests.sim.signed import envelope, wish_for

NOW = datetime.now(timezone.utc)
WISH = "wish"
FILES = ("2.root.json", "timestamp.json", "3.snapshot.json", "3.targets.json", "director.json", WISH)
# Every verdict writes a device's state anew: thousands of times in memory where there is such a place.
SCRATCH = next((place for place in ("/dev/shm",) if Path(place).is_dir()), None)


class Offered:
    """A repository that was given new keys once, so that a device reads the new root too, and a wish for its one release."""

    def __init__(self) -> None:
        """Sign everything."""
        repository = Repository()
        self.first_root = repository.root
        repository.list(make_release(1))
        repository.rotate("timestamp")
        self.files = {name: repository.files[name] for name in FILES if name != WISH}
        self.files[WISH] = envelope(wish_for("pi-1", 1, (make_release(1),), now=NOW), repository.director)

    def verdict(self, **replaced: bytes) -> str:
        """Return what a new device says of it all, with some files replaced."""
        files = {**self.files, **replaced}
        wish = files.pop(WISH)
        with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
            return Judge(Path(folder), self.first_root).hear(files, wish, NOW)


@pytest.fixture(scope="module")
def offered() -> Offered:
    offered = Offered()
    assert offered.verdict() == "verified"
    return offered


def flipped(raw: bytes) -> Iterator[bytes]:
    """Yield the bytes with the lowest bit of each one flipped in turn: what was a digit, letter or sign becomes another."""
    for place, byte in enumerate(raw):
        yield raw[:place] + bytes([byte ^ 1]) + raw[place + 1 :]


@pytest.mark.parametrize("name", FILES)
def test_no_byte_of_a_signed_file_can_be_flipped(offered: Offered, name: str) -> None:
    verdicts = Counter(offered.verdict(**{name: raw}) for raw in flipped(offered.files[name]))
    assert verdicts.total() == len(offered.files[name])
    assert not verdicts.keys() - {"forged", "mix_and_match"}
