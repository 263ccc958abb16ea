"""Engines on a real disk by real processes of a stand-in builder: what is kept, what is built again, and who is given up."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.adapters.builder_process import BuilderProcess
from agent.adapters.platform_facts import PlatformFacts
from agent.adapters.release_notes import ReleaseNotes
from agent.control.engines import Engines
from agent.errors import EngineError
from contracts.agent_config import RuntimeSection
from contracts.bundle import write_bundle
from tests.sim.releases import make_release

JETSON = "jetson-orin"
PATIENCE_S = 60.0
Settings = dict[str, float]


class Bench:
    """Releases in a folder, and engines for them."""

    def __init__(self, folder: Path, **behaviours: object) -> None:
        self.releases = folder / "releases"
        self.log = folder / "builds.log"
        self.notes = ReleaseNotes(self.releases)
        self._builder = (sys.executable, "-m", "tests.sim.builder", json.dumps({"log": str(self.log), **behaviours}))
        self._system = folder / "system"

    def release(self, number: int, model_of: int | None = None) -> Path:
        """Unpack a release, with the model of another one if so told; return its folder."""
        made = make_release(model_of or number, targets=(JETSON, "cpu"))
        write_bundle(self.releases / str(number), made.manifest.model_copy(update={"release": number}), made.files)
        return self.releases / str(number)

    def ensure(self, folder: Path, *, target: str = JETSON, settings: Settings | None = None) -> list[str]:
        """See to an engine; return what was told meanwhile."""
        told: list[str] = []
        engines = self.engines(settings)
        asyncio.run(engines.ensure(folder, target, lambda share, text: told.append(f"{share:.2f} {text}")))
        return told

    def engines(self, settings: Settings | None = None) -> Engines:
        """Return the engines of a fresh start."""
        runtime = RuntimeSection.model_validate(settings or {})
        return Engines(self.notes, PlatformFacts(self._system), BuilderProcess(self._builder, stepping_back=()), runtime)

    def builds(self) -> list[int]:
        """Return which releases were built."""
        return [json.loads(line)["release"] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def is_builder_alive(self) -> bool:
        """Say whether the last one still runs."""
        try:
            os.kill(json.loads(self.log.read_text().splitlines()[-1])["pid"], 0)
        except ProcessLookupError:
            return False
        return True


def engine(folder: Path) -> Path:
    return folder / ".device" / "engine" / "model_sm87.engine"


def test_a_whole_engine_is_used_again_and_a_damaged_one_is_built_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    folder = bench.release(1)
    assert bench.ensure(folder) != []
    assert bench.ensure(folder) == []
    engine(folder).write_bytes(b"hale")
    bench.ensure(folder)
    assert bench.builds() == [1, 1]
    assert engine(folder).read_bytes() == b"half"


def test_what_an_engine_depends_on_and_nothing_else_asks_for_another(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    folder = bench.release(1)
    bench.ensure(folder)
    bench.ensure(folder, settings={"engine_build_s": 5})
    assert bench.builds() == [1]
    bench.ensure(folder, settings={"engine_effort": 5})
    assert bench.builds() == [1, 1]
    assert len(list((folder / ".device" / "engines").iterdir())) == 1


def test_a_release_with_the_very_model_of_another_takes_over_its_engine(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, same = bench.release(1), bench.release(2, model_of=1)
    bench.ensure(first)
    bench.ensure(same)
    assert bench.builds() == [1]
    assert engine(same).samefile(engine(first))


def test_only_a_release_for_tensorrt_is_built(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.ensure(bench.release(1), target="cpu") == []
    assert bench.builds() == []


@pytest.mark.parametrize(
    ("behaviour", "settings", "reason"),
    [
        ("fail", {}, r"found exit status 1: parsing \| .* \| \[E\] build failed"),
        ("hang", {"engine_build_s": 1.5}, "no end in 1.5 s; raise runtime.engine_build_s"),
        ("flood", {"engine_cache_bytes": 4 << 20}, "bytes of engines on the disk, at most 4194304"),
        ("gibberish", {}, "a builder that said 'fluent gibberish'"),
    ],
)
def test_a_builder_that_goes_astray_is_ended_and_named(tmp_path: Path, behaviour: str, settings: Settings, reason: str) -> None:
    bench = Bench(tmp_path, **{"1": behaviour})
    folder = bench.release(1)
    with pytest.raises(EngineError, match=reason):
        bench.ensure(folder, settings=settings)
    assert not engine(folder).exists()
    # Whether it is given up before its first word depends on the machine
    assert not bench.builds() or not bench.is_builder_alive()


def test_one_engine_is_built_at_a_time_and_a_cancelled_one_leaves_no_process(tmp_path: Path) -> None:
    bench = Bench(tmp_path, **{"1": "hang"})
    engines, folders = bench.engines(), [bench.release(1), bench.release(2)]

    async def cancel_the_first() -> None:
        first = asyncio.ensure_future(engines.ensure(folders[0], JETSON, unheard))
        await until(lambda: bench.builds() == [1])
        second = asyncio.ensure_future(engines.ensure(folders[1], JETSON, unheard))
        await asyncio.sleep(0.2)
        assert not second.done()
        assert bench.builds() == [1]
        first.cancel()
        await asyncio.wait({first})
        assert first.cancelled()
        assert not bench.is_builder_alive()
        await asyncio.wait_for(second, PATIENCE_S)

    asyncio.run(cancel_the_first())
    assert bench.builds() == [1, 2]
    assert engine(folders[1]).exists()
    assert not engine(folders[0]).exists()


def unheard(_share: float, _text: str) -> None:
    """Be told in vain."""


async def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.02)
