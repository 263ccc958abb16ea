"""The versions of the agent on a disk, and who decides between them after a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.adapters.environments import Environments
from agent.core.upgrade import Trial
from agent.core.versions import Wanted
from agent.errors import InstallError

ROOT = Path(__file__).parents[3]
TRIAL = Trial(good="0.1.0", candidate="0.2.0")


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    """Two versions, of which the new one is on trial."""
    found = Environments(tmp_path / "opt")
    for name in (TRIAL.good, TRIAL.candidate):
        found.folder(name).mkdir(parents=True)
    found.point("good", TRIAL.good)
    found.begin(TRIAL)
    found.point("current", TRIAL.candidate)
    return found


def guard(environments: Environments) -> str:
    """Do what the unit does before every start."""
    command = [sys.executable, "-m", "agent.guard", str(environments.prefix)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stderr


def test_a_trial_that_nobody_leads_is_undone_at_the_next_start_and_forgotten(environments: Environments) -> None:
    assert guard(environments) == "an upgrade was cut off: back to version 0.1.0\n"
    assert environments.named("current") == "0.1.0"
    assert environments.trial() is None
    assert guard(environments) == ""


def test_a_trial_that_somebody_leads_goes_on(environments: Environments) -> None:
    with environments.lead() as is_ours:
        assert is_ours
        assert guard(environments) == ""
    assert environments.named("current") == "0.2.0"
    assert environments.trial() == TRIAL


def test_only_one_leads(environments: Environments) -> None:
    with environments.lead() as first, environments.lead() as second:
        assert (first, second) == (True, False)


def test_a_note_that_was_cut_off_is_no_trial(environments: Environments) -> None:
    (environments.prefix / "upgrade.json").write_text('{"good": "0.1')
    guard(environments)
    assert environments.named("current") == "0.2.0"


def test_an_environment_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    environments = Environments(tmp_path / "opt")
    (tmp_path / "wheels").mkdir()
    with pytest.raises(InstallError, match=r"pip install .* expected status 0"):
        environments.make(Wanted("9", ("fieldfare[agent]==9",)), ("--no-index", "--find-links", str(tmp_path / "wheels")))
    assert list((environments.prefix / "versions").iterdir()) == []


def test_tidying_keeps_what_is_linked_and_what_is_named(environments: Environments) -> None:
    for name in ("0.0.8", "0.0.9"):
        environments.folder(name).mkdir()
    environments.tidy("0.0.9")
    assert sorted(path.name for path in (environments.prefix / "versions").iterdir()) == ["0.0.9", "0.1.0", "0.2.0"]
