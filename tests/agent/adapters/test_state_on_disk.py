"""The state folder: what is written is whole, what is damaged is noticed, what nobody needs goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.adapters.incoming import Incoming
from agent.adapters.store import StateStore
from agent.adapters.trust_files import MAX_FILES, TrustFiles
from agent.core.admission import Fit
from agent.core.memory import Memory
from agent.core.update import Update
from contracts import codec
from contracts.chunks import CHUNK_BYTES, Bitmap, chunk_digests
from contracts.errors import TamperedError
from contracts.lifecycle import Phase
from tests.sim.releases import Release, make_release


def staged(store: StateStore, incoming: Incoming, release: Release) -> None:
    """Unpack a release as if it had been fetched."""
    for raw in release.files.values():
        incoming.path(codec.sha256_of(raw)).write_bytes(raw)
    files = {path: incoming.path(codec.sha256_of(raw)) for path, raw in release.files.items()}
    store.stage(release.manifest.sha256, codec.encode(release.manifest), files)


def test_a_machine_comes_back_as_it_was_saved_and_its_links_agree(tmp_path: Path) -> None:
    store, release = StateStore(tmp_path), make_release(1).ref
    update = Update(phase=Phase.COMMITTED, wish=release, current=release, attempt=2)
    store.save("digits", update)
    assert StateStore(tmp_path).load("digits") == update
    assert (tmp_path / "models/digits/current").readlink() == Path(f"../../releases/{release.manifest_sha256}")
    store.save("digits", Update())
    assert not (tmp_path / "models/digits/current").is_symlink()


def test_a_machine_that_cannot_be_read_counts_as_new(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    store.save("digits", Update(phase=Phase.COMMITTED, current=make_release(1).ref))
    (tmp_path / "models/digits/update.json").write_text('{"phase": "comm')
    assert store.load("digits") == Update()


def test_a_release_is_unpacked_whole_and_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    store, incoming, release = StateStore(tmp_path), Incoming(tmp_path / "incoming"), make_release(1)
    staged(store, incoming, release)
    assert store.check(release.manifest.sha256, Fit(("cpu",), frozenset({"onnx"}))) == release.manifest
    file = store.release_dir(release.manifest.sha256) / "golden/inputs.npz"
    file.write_bytes(b"Inputs")
    with pytest.raises(TamperedError):
        store.check(release.manifest.sha256, Fit(("cpu",), frozenset({"onnx"})))


def test_releases_that_no_model_needs_are_removed_and_one_that_is_being_unpacked_stays(tmp_path: Path) -> None:
    store, incoming = StateStore(tmp_path), Incoming(tmp_path / "incoming")
    current, coming, old = make_release(1), make_release(2), make_release(3)
    for release in (current, coming, old):
        staged(store, incoming, release)
    store.save("digits", Update(phase=Phase.STAGING, current=current.ref, candidate=coming.ref))
    store.collect()
    assert {path.name for path in (tmp_path / "releases").iterdir()} == {current.manifest.sha256, coming.manifest.sha256}


def test_a_download_remembers_every_chunk_that_was_written(tmp_path: Path) -> None:
    # Given a download of which all but the last two chunks came before its process was killed
    raw = bytes(range(256)) * (CHUNK_BYTES // 256) * 20 + b"end"
    digest, chunks, incoming = codec.sha256_of(raw), chunk_digests(raw), Incoming(tmp_path)
    missing = incoming.begin(digest, len(raw), chunks)
    for index in range(19):
        missing = missing.without(index)
        incoming.write(digest, *piece(raw, index), missing)
    # When another process takes it up, it lacks those two
    again = Incoming(tmp_path)
    missing = again.begin(digest, len(raw), chunks)
    assert list(missing) == list(again.missing(digest, len(raw))) == [19, 20]
    again.write(digest, *piece(raw, 19), missing.without(19))
    again.write(digest, *piece(raw, 20), missing.without(19, 20))
    assert again.is_whole(digest, len(raw))
    assert again.path(digest).read_bytes() == raw


def test_a_chunk_that_a_power_cut_took_comes_again(tmp_path: Path) -> None:
    # Given bits that reached the disk before two of their chunks did
    raw = bytes(range(256)) * (CHUNK_BYTES // 256) * 10
    digest, chunks, incoming = codec.sha256_of(raw), chunk_digests(raw), Incoming(tmp_path)
    missing = incoming.begin(digest, len(raw), chunks).without(*range(9))
    for index in range(9):
        incoming.write(digest, *piece(raw, index), missing)
    with incoming.path(digest).open("r+b") as stream:
        stream.seek(3 * CHUNK_BYTES)
        stream.write(bytes(CHUNK_BYTES))
        stream.seek(8 * CHUNK_BYTES)
        stream.write(b"torn")
    # Then the next process asks for them, and so does the one after it
    assert list(Incoming(tmp_path).begin(digest, len(raw), chunks)) == [3, 8, 9]
    assert list(Incoming(tmp_path).missing(digest, len(raw))) == [3, 8, 9]


def test_a_download_that_begins_anew_is_written_to_its_new_file(tmp_path: Path) -> None:
    # Given a file that was forgotten while it arrived
    raw = bytes(range(256)) * (2 * CHUNK_BYTES // 256)
    digest, chunks, incoming = codec.sha256_of(raw), chunk_digests(raw), Incoming(tmp_path)
    missing = incoming.begin(digest, len(raw), chunks)
    incoming.write(digest, *piece(raw, 0), missing.without(0))
    incoming.drop(digest)
    # Then nothing more is taken for it
    with pytest.raises(FileNotFoundError):
        incoming.write(digest, *piece(raw, 1), missing.without(0, 1))
    # When it begins anew, then its chunks are where it is now
    missing = incoming.begin(digest, len(raw), chunks)
    for index in range(2):
        missing = missing.without(index)
        incoming.write(digest, *piece(raw, index), missing)
    assert incoming.path(digest).read_bytes() == raw


def test_a_download_whose_bytes_are_wrong_is_thrown_away(tmp_path: Path) -> None:
    incoming, digest = Incoming(tmp_path), codec.sha256_of(b"right")
    incoming.begin(digest, 5, None)
    incoming.write(digest, 0, b"wrong", Bitmap(1, 0))
    assert not incoming.is_whole(digest, 5)
    assert len(incoming.missing(digest, 5)) == 1


def piece(raw: bytes, index: int) -> tuple[int, bytes]:
    """Return one chunk of a file."""
    return index, raw[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]


def test_the_mirror_takes_known_names_only_and_stays_small(tmp_path: Path) -> None:
    files = TrustFiles(tmp_path)
    assert not files.put("../evil.json", b"x")
    assert not files.put("1.mirrors.json", b"x")
    assert not files.put("timestamp.json", b"x" * (1 << 20))
    for number in range(MAX_FILES + 10):
        files.put(f"{number}.snapshot.json", b"x")
    assert len(list(files.mirror_dir.glob("*.json"))) == MAX_FILES
    assert not files.put(f"{MAX_FILES}.snapshot.json", b"x")  # nothing new
    assert files.put(f"{MAX_FILES}.snapshot.json", b"")  # withdrawn


def test_what_was_judged_is_remembered_and_a_damaged_memory_counts_as_none(tmp_path: Path) -> None:
    files = TrustFiles(tmp_path)
    memory = Memory(generation=7, director="ab", refused={"rollback": 2})
    files.remember(memory)
    assert TrustFiles(tmp_path).memory() == memory
    (tmp_path / "memory.json").write_text('{"generation": 7')
    assert TrustFiles(tmp_path).memory() == Memory()
