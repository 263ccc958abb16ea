"""Files from any source, checked alike, and a change of source in mid-download."""

from __future__ import annotations

import asyncio
import os
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import pytest

from agent.adapters.folder_source import FolderSource
from agent.adapters.http_source import HttpSource
from agent.adapters.incoming import Incoming
from agent.control.basket import Pace
from agent.control.downloader import Downloader
from agent.control.ports.sources import Source
from agent.core.pieces import WantedFile
from agent.errors import FetchError
from contracts import codec
from contracts.chunks import CHUNK_BYTES, Bitmap, chunk_digests
from contracts.pace import Hours
from tests.live.authority import authority, server_identity
from tests.sim.range_server import serving
from tests.sim.releases import Release, make_release

RAW = os.urandom(20 * CHUNK_BYTES + 77)
WANTED = WantedFile(codec.sha256_of(RAW), len(RAW), chunk_digests(RAW))


def fetch(folder: Path, *sources: Source, wanted: WantedFile = WANTED) -> bytes:
    """Fetch a file; sources that fail once are not waited for."""

    async def run() -> Path:
        downloader = Downloader(sources, Incoming(folder / "incoming"), Pace(0.0, None))
        return await downloader.fetch(wanted, lambda _: None, give_up_s=0.0)

    return asyncio.run(asyncio.wait_for(run(), 120)).read_bytes()


def write(folder: Path, release: Release) -> Path:
    """Write a bundle."""
    for path, raw in {**release.files, "manifest.json": codec.encode(release.manifest)}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)
    return folder


def as_folder(folder: Path, release: Release) -> Path:
    return write(folder / "stick" / "some-bundle", release).parent


def as_bundle_itself(folder: Path, release: Release) -> Path:
    return write(folder / "bundle", release)


def as_tar(folder: Path, release: Release) -> Path:
    bundle = write(folder / "bundle", release)
    (folder / "stick").mkdir()
    (folder / "stick" / "other.txt").write_text("not a bundle")
    with tarfile.open(folder / "stick" / "digits.tar", "w") as archive:
        archive.add(bundle, arcname=".")
    return folder / "stick"


@pytest.mark.parametrize("form", [as_folder, as_bundle_itself, as_tar])
def test_a_stick_brings_manifest_and_files(tmp_path: Path, form: Callable[[Path, Release], Path]) -> None:
    release = make_release(1, size=3 * CHUNK_BYTES + 5)
    source = FolderSource(form(tmp_path, release))
    manifest = codec.encode(release.manifest)
    for raw in (manifest, *release.files.values()):
        wanted = WantedFile(codec.sha256_of(raw), len(raw), chunk_digests(raw))
        assert fetch(tmp_path, source, wanted=wanted) == raw


def test_a_server_is_asked_for_ranges_and_told_nothing_else(tmp_path: Path) -> None:
    with serving(RAW) as server:
        assert fetch(tmp_path, HttpSource(server.url)) == RAW
        assert server.requests[0] == (f"bytes=0-{8 * CHUNK_BYTES - 1}", None)
        assert {header for _, header in server.requests} == {None}


def test_our_own_server_may_lead_to_a_store_whose_links_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a server that leads to a store, whose link is good for two answers
    monkeypatch.setenv("SSL_CERT_FILE", str(authority().certificate_file))
    with serving() as own, serving(RAW, identity=server_identity()) as store:
        own.leads_to, store.fault, store.answers = store.url, "403", 2

        def renewed() -> None:
            store.answers += 3

        # When a file is fetched, and each new link is good for some more
        store.on_refusal = renewed
        assert fetch(tmp_path, HttpSource(own.url, may_lead=True)) == RAW
        # Then the store was asked for the ranges, and the server for links alone
        assert len(own.requests) >= 2
        assert len(store.requests) > len(own.requests)


def test_a_server_that_may_not_lead_and_a_link_without_tls_are_not_followed(tmp_path: Path) -> None:
    with serving() as own, serving(RAW) as store:
        own.leads_to = store.url
        for source in (HttpSource(own.url), HttpSource(own.url, may_lead=True)):
            with pytest.raises(FetchError):
                fetch(tmp_path, source)
        assert store.requests == []


@pytest.mark.parametrize("fault", ["404", "wrong", "cut"])
def test_another_source_goes_on_where_the_first_one_failed(tmp_path: Path, fault: str) -> None:
    # Given a server that fails after its first answer
    with serving(RAW) as first, serving(RAW) as second:
        first.fault, first.answers = fault, 1
        # When a file is fetched
        assert fetch(tmp_path, HttpSource(first.url), HttpSource(second.url)) == RAW
        # Then the second server was asked for the rest alone: what was right in a wrong answer, or came before a cut, counts
        expected = {"404": 8, "cut": 19, "wrong": 15}[fault]
        assert second.requests[0][0].startswith(f"bytes={expected * CHUNK_BYTES}-")


def test_a_file_that_no_source_has_names_what_each_said(tmp_path: Path) -> None:
    with serving() as empty, pytest.raises(FetchError, match=r"found https: .*found 404; folder: .*expected a bundle"):
        fetch(tmp_path, HttpSource(empty.url), FolderSource(tmp_path))


def test_an_empty_file_comes_whole(tmp_path: Path) -> None:
    wanted = WantedFile(codec.sha256_of(b""), 0, chunk_digests(b""))
    with serving() as server:
        assert fetch(tmp_path, HttpSource(server.url), wanted=wanted) == b""


def test_a_source_that_cannot_be_reached_is_asked_again(tmp_path: Path) -> None:
    # Given a stick that is not there yet
    release = make_release(1)
    manifest = codec.encode(release.manifest)
    wanted = WantedFile(codec.sha256_of(manifest), len(manifest), chunk_digests(manifest))

    async def run() -> bytes:
        downloader = Downloader((FolderSource(tmp_path / "stick" / "some-bundle"),), Incoming(tmp_path / "incoming"), Pace(0.0, None))
        fetching = asyncio.ensure_future(downloader.fetch(wanted, lambda _: None, give_up_s=0.0))
        await asyncio.sleep(0.1)
        assert not fetching.done()
        # When it is plugged in
        as_folder(tmp_path, release)
        return (await fetching).read_bytes()

    assert asyncio.run(asyncio.wait_for(run(), 120)) == manifest


class SlowDisk(Incoming):
    """A disk that takes its time."""

    def __init__(self, folder: Path) -> None:
        """Nothing was written."""
        super().__init__(folder)
        self.has_begun = threading.Event()
        self.kept = 0

    def write(self, digest: str, index: int, chunk: bytes | memoryview, missing: Bitmap) -> None:
        """Write, after a while."""
        self.has_begun.set()
        time.sleep(0.02)
        super().write(digest, index, chunk, missing)
        self.kept += 1


def test_what_came_before_a_download_was_called_off_is_kept(tmp_path: Path) -> None:
    async def run() -> int:
        with serving(RAW) as server:
            disk = SlowDisk(tmp_path)
            downloader = Downloader((HttpSource(server.url),), disk, Pace(0.0, None))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(downloader.fetch, WANTED, lambda _: None)
                await anyio.to_thread.run_sync(disk.has_begun.wait, 120)
                # When it is called off while a range is written
                tasks.cancel_scope.cancel()
            return disk.kept

    # Then no thread is left behind that writes: ranges of 8 chunks are kept whole
    assert asyncio.run(run()) in (8, 16, 21)


def test_what_comes_is_paced(tmp_path: Path) -> None:
    async def run() -> float:
        with ExitStack() as stack:
            server = stack.enter_context(serving(RAW))
            downloader = Downloader((HttpSource(server.url),), Incoming(tmp_path), Pace(len(RAW) / 0.5, None))
            began_s = asyncio.get_running_loop().time()
            await downloader.fetch(WANTED, lambda _: None)
            return asyncio.get_running_loop().time() - began_s

    # The last range is a debt that the next file pays.
    assert asyncio.run(asyncio.wait_for(run(), 120)) >= 0.5 * 16 / 21


def closed_now() -> Hours:
    """Return hours that begin and end in half a day."""
    opening = datetime.now().astimezone() + timedelta(hours=12)
    return Hours(opening.time(), (opening + timedelta(minutes=1)).time())


def test_a_download_that_waits_for_its_hours_goes_on_when_they_are_changed(tmp_path: Path) -> None:
    async def run() -> bytes:
        with serving(RAW) as server:
            # Given a download that began outside its hours
            sources = (HttpSource(server.url),)
            downloader = Downloader(sources, Incoming(tmp_path), Pace(0.0, closed_now()))
            fetching = asyncio.ensure_future(downloader.fetch(WANTED, lambda _: None))
            await asyncio.sleep(0.2)
            assert server.requests == []
            # When there are no hours any more
            downloader.use(sources, Pace(0.0, None))
            return (await fetching).read_bytes()

    assert asyncio.run(asyncio.wait_for(run(), 120)) == RAW


def test_a_download_that_waits_for_one_source_turns_to_another_when_that_is_put_first(tmp_path: Path) -> None:
    async def run() -> bytes:
        with serving(RAW) as server:
            # Given a download by a server, outside its hours
            manifest = codec.encode(make_release(1).manifest)
            wanted = WantedFile(codec.sha256_of(manifest), len(manifest), chunk_digests(manifest))
            downloader = Downloader((HttpSource(server.url),), Incoming(tmp_path / "incoming"), Pace(0.0, closed_now()))
            fetching = asyncio.ensure_future(downloader.fetch(wanted, lambda _: None))
            await asyncio.sleep(0.2)
            # When a stick is named first, then it is read at once: hours are for links
            downloader.use((FolderSource(as_folder(tmp_path, make_release(1))), HttpSource(server.url)), Pace(0.0, closed_now()))
            return (await fetching).read_bytes()

    assert asyncio.run(asyncio.wait_for(run(), 120)) == codec.encode(make_release(1).manifest)


def test_what_a_stick_brings_takes_nothing_of_a_links_byte_rate(tmp_path: Path) -> None:
    async def run() -> float:
        # Given a rate at which the manifest alone would take hours, and a stick that has it
        pace, manifest = Pace(0.01, None), codec.encode(make_release(1).manifest)
        downloader = Downloader((FolderSource(as_folder(tmp_path, make_release(1))),), Incoming(tmp_path / "incoming"), pace)
        await downloader.fetch(WantedFile(codec.sha256_of(manifest), len(manifest), chunk_digests(manifest)), lambda _: None)
        return pace.ask_in_s()

    # Then the next file may be asked for at once
    assert asyncio.run(asyncio.wait_for(run(), 120)) == 0
