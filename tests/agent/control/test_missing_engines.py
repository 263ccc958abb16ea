"""A release whose engine cannot be built: it is not built for again and again, and serves without where nothing else can."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agent.adapters.outbox_files import OutboxFiles
from agent.adapters.platform_facts import PlatformFacts
from agent.control.engines import Engines
from agent.control.proof import ProvingLauncher, Told
from agent.control.reporter import Identity, Reporter
from agent.core.memory import Memory
from agent.core.outbox import Outbox
from agent.core.shelf import Limits
from agent.errors import EngineError
from contracts.agent_config import DeviceSection
from contracts.messages import DeviceEvent
from tests.agent.control.test_engines import JETSON, Bench, engine
from tests.sim.small_device import MACHINE, NoLauncher

AGAIN_S = 3600.0


def ensure(engines: Engines, folder: Path, again_after_s: float) -> None:
    """See to an engine."""
    asyncio.run(engines.ensure(folder, JETSON, lambda _share, _text: None, again_after_s))


def test_what_failed_is_not_built_again_before_its_time_unless_the_system_has_changed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, **{"1": "fail"})
    folder, engines = bench.release(1), bench.engines()
    for again_after_s in (AGAIN_S, AGAIN_S, AGAIN_S):
        with pytest.raises(EngineError, match="could not find any implementation") as failure:
            ensure(engines, folder, again_after_s)
        assert not failure.value.may_pass
    assert bench.builds() == [1]
    # Who asks for a build, as staging does, gets one
    with pytest.raises(EngineError):
        ensure(engines, folder, 0.0)
    assert bench.builds() == [1, 1]
    library = tmp_path / "system" / "usr" / "lib" / "aarch64-linux-gnu"
    library.mkdir(parents=True)
    (library / "libnvinfer.so.10.7.0").write_bytes(b"library")
    with pytest.raises(EngineError):
        ensure(engines, folder, AGAIN_S)
    assert bench.builds() == [1, 1, 1]


def test_an_engine_for_which_there_is_no_room_may_still_be_built_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path, **{"1": "flood"})
    engines = bench.engines({"engine_cache_bytes": 1 << 20})
    with pytest.raises(EngineError, match="engine_cache_bytes") as failure:
        ensure(engines, bench.release(1), 0.0)
    assert failure.value.may_pass


@pytest.mark.parametrize("may_do_without", [True, False])
def test_a_worker_is_started_without_an_engine_only_where_nothing_else_can_serve(tmp_path: Path, may_do_without: bool) -> None:
    bench, launched = Bench(tmp_path), NoLauncher()
    folder = bench.release(1)
    bench.ensure(folder)
    # Given an engine of another system, and a builder that fails on this one
    failing = Bench(tmp_path, **{"1": "fail"})
    library = tmp_path / "system" / "usr" / "lib" / "aarch64-linux-gnu"
    library.mkdir(parents=True)
    (library / "libnvinfer.so.10.7.0").write_bytes(b"library")
    outbox = Outbox(OutboxFiles(tmp_path / "outbox"), Limits(1 << 20, 3600.0), time.monotonic)
    reporter = Reporter(Identity(DeviceSection(id="pi-1", hardware=JETSON), "0", {}, MACHINE, "0" * 16), Memory(), outbox)
    asked: list[tuple[str, str]] = []

    def decide(model: str, digest: str, _error: EngineError) -> bool:
        asked.append((model, digest))
        return may_do_without

    told = Told(reporter, lambda _model, _digest, _reason: None, decide)
    launcher = ProvingLauncher(launched, failing.engines(), PlatformFacts(tmp_path / "system"), failing.notes, told)
    if may_do_without:
        asyncio.run(launcher.start("digits", folder, JETSON))
        letter = outbox.first()
        assert letter is not None
        event = DeviceEvent.model_validate_json(letter.payload)
        assert (event.severity, "serves without an engine" in event.text) == ("error", True)
        assert not engine(folder).parent.exists()
    else:
        with pytest.raises(EngineError):
            asyncio.run(launcher.start("digits", folder, JETSON))
    assert asked == [("digits", folder.name)]
