"""What commands have done to a model's workers, which are processes of their own: pictures, trials and replacements."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from agent.adapters.album import Album
from agent.adapters.logbook import Logbook, RecentLog
from agent.adapters.sensors import Sensors
from agent.adapters.trial_process import TrialProcess
from agent.control.deeds import Bench, Deeds
from agent.control.delivery import Installed
from agent.core.growth import MIB
from agent.errors import CommandError, RefusedCommandError, WorkerError
from contracts.agent_config import RuntimeSection
from contracts.commands import (
    MAX_JPEG_BYTES,
    MAX_LOG_BYTES,
    GoldenOrder,
    LogsOrder,
    Picture,
    Restarted,
    RestartOrder,
    SnapshotOrder,
)
from tests.sim.supervised import MODEL, Watched, installed_stand_in, stand_in, supervised
from tests.sim.tiny_release import MODEL as TINY
from tests.sim.tiny_release import TinyRelease

TRIAL = (sys.executable, "-m", "agent.trial")


def deeds_of(watched: Watched, folder: Path, album: Album | None = None) -> Deeds:
    """Return deeds on one model."""
    bench = Bench(TrialProcess(TRIAL), Sensors(folder), RuntimeSection(), 1024 * MIB)
    return Deeds(lambda _model: watched.supervisor, Logbook(RecentLog()), album, bench)


def play(folder: Path, behaviours: str, part: Callable[[Watched, Deeds], Awaitable[None]]) -> None:
    """Play with a model that serves by workers which behave like this, one after the other."""

    async def run() -> None:
        async with supervised(folder, stand_in(behaviours)) as watched:
            watched.supervisor.want(installed_stand_in(folder / "release"))
            await watched.until_it_serves()
            await part(watched, deeds_of(watched, folder, Album(folder / "pictures")))

    asyncio.run(run())


def test_a_picture_comes_back_and_does_not_stay(tmp_path: Path) -> None:
    async def part(_watched: Watched, deeds: Deeds) -> None:
        found = await deeds.by_kind["snapshot"].work(SnapshotOrder())
        assert isinstance(found, Picture)
        assert (found.model, base64.b64decode(found.jpeg)[3:]) == (MODEL, b"a picture of release 1")
        assert list((tmp_path / "pictures").iterdir()) == []

    play(tmp_path, "good", part)


@pytest.mark.parametrize(
    ("behaviour", "error", "reason"),
    [("blind", WorkerError, "snapshot: the stand-in was told to see nothing"), ("doodle", CommandError, "expected a JPEG, found 47494638")],
)
def test_why_there_is_no_picture_is_told(tmp_path: Path, behaviour: str, error: type[Exception], reason: str) -> None:
    async def part(_watched: Watched, deeds: Deeds) -> None:
        with pytest.raises(error, match=reason):
            await deeds.by_kind["snapshot"].work(SnapshotOrder())
        assert list((tmp_path / "pictures").iterdir()) == []

    play(tmp_path, behaviour, part)


def test_a_device_that_does_not_allow_pictures_takes_none(tmp_path: Path) -> None:
    async def part(watched: Watched, _deeds: Deeds) -> None:
        with pytest.raises(RefusedCommandError, match=r"\[commands\] snapshot = true"):
            await deeds_of(watched, tmp_path).by_kind["snapshot"].work(SnapshotOrder())

    play(tmp_path, "good", part)


def test_an_album_takes_no_links_and_nothing_large_and_begins_empty(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "left.jpg").write_bytes(b"\xff\xd8\xff from before")
    album = Album(folder)
    assert list(folder.iterdir()) == []
    (tmp_path / "secret").write_bytes(b"\xff\xd8\xff of somebody else")
    album.page("link").symlink_to(tmp_path / "secret")
    album.page("large").write_bytes(b"\xff\xd8\xff".ljust(MAX_JPEG_BYTES + 1))
    for name in ("link", "large", "missing"):
        with pytest.raises(CommandError):
            album.take(name)
    assert list(folder.iterdir()) == []
    assert (tmp_path / "secret").exists()


def test_a_worker_is_replaced_and_one_that_would_be_worse_is_not_taken(tmp_path: Path) -> None:
    async def part(watched: Watched, deeds: Deeds) -> None:
        first = watched.supervisor.serving
        assert first is not None
        # Given a second worker that fails its golden set, the first serves on
        with pytest.raises(WorkerError, match="golden set"):
            await deeds.by_kind["restart"].work(RestartOrder())
        assert watched.supervisor.serving is first
        # Given a third one that is well, it takes over, and nobody calls that a crash
        found = await deeds.by_kind["restart"].work(RestartOrder())
        assert isinstance(found, Restarted)
        assert found.was_without_gap
        assert watched.supervisor.serving is not first
        await watched.until(lambda: first.has_ended)
        assert await anyio.to_thread.run_sync(watched.ask) == (200, "1")
        assert (watched.crashes, watched.supervisor.restarts) == ([], 0)

    play(tmp_path, "good golden good", part)


def test_a_replacement_gives_way_to_a_stop(tmp_path: Path) -> None:
    async def part(watched: Watched, _deeds: Deeds) -> None:
        async def replace() -> None:
            with pytest.raises(WorkerError, match="left alone"):
                await watched.supervisor.replace()

        # Given a fresh worker that does not listen
        replacing = asyncio.ensure_future(replace())
        await watched.until(lambda: (watched.store.root / "turns-digits-1").read_text() == "2")
        # When the agent leaves, then nobody waits for that worker
        await watched.supervisor.drain()
        await replacing
        assert watched.supervisor.state == "stopped"

    play(tmp_path, "good deaf", part)


def test_a_worker_that_hangs_is_replaced_too(tmp_path: Path) -> None:
    async def part(watched: Watched, deeds: Deeds) -> None:
        found = await deeds.by_kind["restart"].work(RestartOrder())
        assert isinstance(found, Restarted)
        assert await anyio.to_thread.run_sync(watched.ask) == (200, "1")

    play(tmp_path, "hang good", part)


def test_a_release_that_was_damaged_since_fails_its_trial_by_name_while_its_worker_serves_on(tmp_path: Path) -> None:
    async def run() -> None:
        manifest = TinyRelease().write(tmp_path / "release")
        async with supervised(tmp_path, (sys.executable, "-m", "agent.worker"), model=TINY) as watched:
            release = installed_stand_in(tmp_path / "unused").release.model_copy(
                update={"model": TINY, "release": manifest.release, "manifest_sha256": manifest.sha256}
            )
            watched.supervisor.want(Installed(release, tmp_path / "release", "cpu"))
            await watched.until_it_serves()
            deeds = deeds_of(watched, tmp_path)
            (tmp_path / "release" / "golden" / "cpu.npz").write_bytes(b"rubbish")
            with pytest.raises(CommandError, match=r"golden/cpu\.npz"):
                await deeds.by_kind["golden"].work(GoldenOrder())
            assert watched.supervisor.state == "serving"

    asyncio.run(run())


def test_the_lines_in_memory_are_the_newest_and_bounded() -> None:
    recent = RecentLog()
    for number in range(5000):
        recent.handle(logging.LogRecord("agent", logging.INFO, "", 0, "line %d %s", (number, "x" * 50), None))
    assert len(recent.text) <= MAX_LOG_BYTES + 5000
    assert "line 4999" in recent.text
    assert "line 0 " not in recent.text


def test_a_log_is_told_in_as_many_lines_as_were_asked_for(tmp_path: Path) -> None:
    async def part(_watched: Watched, deeds: Deeds) -> None:
        found = await deeds.by_kind["logs"].work(LogsOrder(lines=2))
        assert found.kind == "logs"
        assert len(found.text.splitlines()) <= 2

    play(tmp_path, "good", part)
