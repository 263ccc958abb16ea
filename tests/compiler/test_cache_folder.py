"""The folder of the cache: bounded, private, safe under many hands, and never the reason that a compilation fails."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.cache.folder import FolderStore, default_folder
from tests.compiler.material import ROOT

KIB = 1024


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def opened(folder: Path, complaints: list[str] | None = None, max_bytes: int = 1 << 20) -> FolderStore:
    return FolderStore(folder, (complaints if complaints is not None else []).append, max_bytes)


def age(folder: Path, number: int, seconds: int) -> None:
    os.utime(folder / key(number), (1_000_000_000 - seconds,) * 2)


def test_what_was_put_is_found_by_another_compilation(tmp_path: Path) -> None:
    opened(tmp_path / "cache").put(key(1), b"one\ntwo")
    assert opened(tmp_path / "cache").get(key(1)) == b"one\ntwo"
    assert opened(tmp_path / "cache").get(key(2)) is None


def test_nobody_else_can_look_into_a_new_folder(tmp_path: Path) -> None:
    opened(tmp_path / "cache").put(key(1), b"weights")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", ["flipped", "short", "long", "empty", "misnamed"])
def test_a_damaged_entry_was_never_there(tmp_path: Path, damage: str) -> None:
    store, file = opened(tmp_path), tmp_path / key(1)
    store.put(key(1), b"x" * KIB)
    raw = file.read_bytes()
    changed = {"flipped": raw[:-9] + b"y" + raw[-8:], "short": raw[:-1], "long": raw + b"x", "empty": b"", "misnamed": raw}[damage]
    if damage == "misnamed":
        file = file.rename(tmp_path / key(2))
    file.write_bytes(changed)
    assert store.get(file.name) is None
    store.put(key(1), b"whole")
    assert store.get(key(1)) == b"whole"


def test_past_its_size_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    store = opened(tmp_path, max_bytes=10 * KIB)
    for number in range(4):
        store.put(key(number), b"x" * 2 * KIB)
        age(tmp_path, number, seconds=100 - number)
    assert store.get(key(0)) is not None  # used now: the next to go is 1
    store.put(key(4), b"x" * 3 * KIB)
    assert [number for number in range(5) if (tmp_path / key(number)).exists()] == [0, 3, 4]


def test_the_folder_never_holds_more_than_its_size(tmp_path: Path) -> None:
    store = opened(tmp_path, max_bytes=10 * KIB)
    for number in range(40):
        store.put(key(number), b"x" * (number * 331 % (4 * KIB)))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10 * KIB
    store.put(key(99), b"x" * 11 * KIB)
    assert store.get(key(99)) is None
    assert store.get(key(39)) is not None


def test_a_file_that_is_none_of_its_entries_is_neither_counted_nor_removed(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.tex"
    precious.write_bytes(b"x" * 20 * KIB)
    store = opened(tmp_path, max_bytes=4 * KIB)
    for number in range(8):
        store.put(key(number), b"x" * KIB)
    assert precious.stat().st_size == 20 * KIB
    assert store.get(key(7)) is not None


def test_what_a_killed_compilation_left_half_written_goes_with_the_rest(tmp_path: Path) -> None:
    half = tmp_path / f"{key(1)}.0123456789abcdef.part"
    half.write_bytes(b"x" * 3 * KIB)
    os.utime(half, (0, 0))
    store = opened(tmp_path, max_bytes=4 * KIB)
    store.put(key(2), b"x" * 2 * KIB)
    assert not half.exists()
    assert store.get(key(2)) is not None


def test_a_place_that_is_no_folder_is_done_without_after_one_complaint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    complaints: list[str] = []
    store = opened(tmp_path / "file" / "cache", complaints)
    store.put(key(1), b"one")
    assert store.get(key(1)) is None
    assert [complaint.partition(";")[0] for complaint in complaints] == [f"cache {tmp_path}/file/cache: Not a directory"]


def test_a_folder_that_others_can_write_to_is_not_believed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    opened(shared).put(key(1), b"one")
    shared.chmod(0o777)
    complaints: list[str] = []
    assert opened(shared, complaints).get(key(1)) is None
    assert ["expected a folder that only you can write to" in complaint for complaint in complaints] == [True]


def test_a_full_disk_is_done_without_after_one_complaint(tmp_path: Path) -> None:
    """A process that may write no file past 4 KiB meets the same error at the same call as one whose disk is full."""
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "from pathlib import Path; from compiler.cache.folder import FolderStore;"
        "store = FolderStore(Path(sys.argv[1]), print); [store.put(64 * str(n), b'x' * 9000) for n in range(3)];"
        "print(store.get(64 * '1'))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    complaint, found = done.stdout.splitlines()
    assert complaint.startswith(f"cache {tmp_path}: File too large; compiling without it")
    assert found == "None"
    assert list(tmp_path.iterdir()) == []


def test_many_hands_at_once_find_the_whole_or_nothing(tmp_path: Path) -> None:
    """So little room that entries vanish all the time while others read them."""
    program = (
        "import hashlib, sys; from pathlib import Path; from compiler.cache.folder import FolderStore;"
        "store = FolderStore(Path(sys.argv[1]), sys.exit, max_bytes=40_000);"
        "key = lambda n: hashlib.sha256(str(n).encode()).hexdigest();"
        "content = lambda n: key(n).encode() * 100;"
        "turns = [(7 * turn + int(sys.argv[2])) % 13 for turn in range(400)];"
        "[store.put(key(n), content(n)) for n in turns if store.get(key(n)) not in (None, content(n)) and sys.exit('torn') or True]"
    )
    hands = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(hand)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for hand in range(3)
    ]
    try:
        assert [(hand.communicate(timeout=200)[1], hand.returncode) for hand in hands] == [("", 0)] * 3
    finally:
        for hand in hands:
            hand.kill()
            hand.wait(timeout=10)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 3 * 40_000
    assert not list(tmp_path.glob("*.part"))


def test_the_place_is_the_users_own_by_the_xdg_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/srv/cache")
    assert default_folder() == Path("/srv/cache/fieldfare/compile")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert default_folder() == Path.home() / ".cache/fieldfare/compile"
