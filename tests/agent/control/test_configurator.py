"""A change of settings whose agent dies at every use of the disk: it always starts with settings that are whole, and comes to an end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.adapters.configuration_files import ConfigurationFiles
from agent.core.configuring import BASE_REF, Signs, ref_of
from agent.core.update import MAX_ATTEMPTS
from contracts.agent_config import AgentConfig
from contracts.configuration import Configuration, configured
from contracts.lifecycle import Phase
from tests.sim.panel import PROBATION_S, DiedError, Life, MortalFiles, Panel, live

BASE = AgentConfig.model_validate(
    {
        "device": {"id": "pi-1", "hardware": "cpu"},
        "broker": {"host": "broker", "port": 8883, "keepalive_s": 1},
        "update": {"probation_s": PROBATION_S},
    }
)
WANTED = Configuration(revision=2, settings={"telemetry.health_interval_s": 1.0})
SET = configured(BASE, WANTED.settings)
# A change uses the disk less often than this.
USES = 14


def life(folder: Path, files: ConfigurationFiles, panel: Panel | None = None, wanted: Configuration = WANTED) -> Life | None:
    """Live once; None for an agent that died before it had begun."""
    try:
        return asyncio.run(live(folder, BASE, wanted, files, panel or Panel()))
    except DiedError:
        return None


@pytest.mark.parametrize("is_late", [False, True])
def test_a_change_that_is_cut_off_anywhere_is_made_after_the_next_start(tmp_path: Path, is_late: bool) -> None:
    deaths = 0
    for dies_at in range(1, USES):
        folder = tmp_path / str(dies_at)
        first = life(folder, MortalFiles(folder, dies_at, is_late=is_late))
        deaths += first is None or first.has_died
        second = life(folder, ConfigurationFiles(folder))
        assert second is not None
        assert second.began_with in (BASE, SET)
        assert second.report is not None
        assert (second.report.phase, second.report.current) == (Phase.COMMITTED, ref_of(WANTED))
        # What is in force at the end was turned to, unless the agent began with it
        assert (second.turned or (second.began_with,))[-1] == SET
        kept = {path.name for path in (folder / "configuration").iterdir() if not path.name.startswith(".")}
        assert kept == {"update.json", f"{WANTED.sha256}.json"}
    assert deaths >= 6, "the deaths must have hit something"


def test_a_change_at_which_the_agent_always_dies_is_left_with_a_reason_or_made(tmp_path: Path) -> None:
    phases = set()
    for dies_at in range(1, USES):
        folder = tmp_path / str(dies_at)
        for _ in range(2 * MAX_ATTEMPTS):
            last = life(folder, MortalFiles(folder, dies_at))
            assert last is None or last.began_with in (BASE, SET)
        end = life(folder, ConfigurationFiles(folder))
        assert end is not None
        assert end.report is not None
        phases.add(end.report.phase)
        is_set = end.report.phase is Phase.COMMITTED
        assert end.report.current == (ref_of(WANTED) if is_set else BASE_REF)
        assert is_set or "the agent died" in end.report.reason
        assert (end.turned or (end.began_with,))[-1] == (SET if is_set else BASE)
    assert phases >= {Phase.COMMITTED, Phase.ROLLED_BACK}


def test_settings_under_which_something_never_shows_itself_are_turned_back(tmp_path: Path) -> None:
    wanted = Configuration(revision=2, settings={"worker.inference_s": 1.0})
    panel = Panel(seen=Signs(is_linked=True, is_health_sent=True, waiting=("digits",), failure="worker: digits: no memory"))
    end = life(tmp_path, ConfigurationFiles(tmp_path), panel, wanted)
    assert end is not None
    assert end.report is not None
    assert (end.report.phase, end.report.current, end.report.reason) == (Phase.ROLLED_BACK, BASE_REF, "worker: digits: no memory")
    assert end.turned == (configured(BASE, wanted.settings), BASE)


def test_settings_wait_until_no_model_is_on_trial(tmp_path: Path) -> None:
    panel = Panel(busy_looks=2)
    end = life(tmp_path, ConfigurationFiles(tmp_path), panel)
    assert end is not None
    assert end.report is not None
    assert end.report.phase is Phase.COMMITTED
    assert panel.busy_looks < 0


def test_committed_settings_that_this_version_does_not_take_any_more_do_not_keep_the_agent_down(tmp_path: Path) -> None:
    # Given settings that were committed by a version that knew more of them
    files = ConfigurationFiles(tmp_path)
    assert life(tmp_path, files) is not None
    stranger = Configuration(revision=3, settings={"telemetry.later_s": 1.0})
    files.put(stranger)
    update = files.load()
    newer = ref_of(stranger)
    files.save(type(update)(**{**vars(update), "current": newer, "previous": update.current, "wish": newer, "good": newer}))
    # When this version starts, and hears the same wish
    end = life(tmp_path, files, wanted=stranger)
    # Then it begins with those before, and says which it does not take
    assert end is not None
    assert end.began_with == SET
    assert end.report is not None
    assert (end.report.phase, end.report.current) == (Phase.REJECTED, ref_of(WANTED))
    assert "telemetry.later_s: expected one of" in end.report.reason


def test_a_folder_without_settings_is_that_of_an_untouched_device_and_a_damaged_one_as_well(tmp_path: Path) -> None:
    files = ConfigurationFiles(tmp_path)
    assert files.load().current == BASE_REF
    assert files.read(BASE_REF) == Configuration(revision=1, settings={})
    assert files.read(ref_of(WANTED)) is None
    files.save(files.load())
    (tmp_path / "configuration" / "update.json").write_bytes(b"{")
    assert files.load().current == BASE_REF
