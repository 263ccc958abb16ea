"""What `fieldfare agent status` prints of a device, as a person reads it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from agent.cli.page import Page, print_page
from agent.core.status import Status
from contracts.lifecycle import Phase
from contracts.messages import ModelReport, Outcome, ReleaseRef

NOW = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


def ref(number: int, model: str = "digits") -> ReleaseRef:
    """Return a release."""
    return ReleaseRef(model=model, release=number, manifest_sha256=f"{number:064x}")


def status(**changes: Any) -> Status:
    """Return how a running agent is."""
    said: dict[str, Any] = {
        "written_at": NOW, "pid": 7, "agent_version": "1", "device": "pi-1", "broker": "fleet:8483", "is_linked": True,
        "last_contact_at": NOW - timedelta(hours=3), "waiting_bytes": 0, "dropped": 0, "models": {}, "workers": {},
    }  # fmt: skip
    return Status(**{**said, **changes})


def printed(capsys: pytest.CaptureFixture[str], agent: Status | None, **models: ModelReport) -> str:
    """Print the page of an agent that runs, and return its words in single spaces."""
    page = Page(
        device="pi-1", is_running=agent is not None, service=None, since="", restarts=0, current=None, good=None, agent=agent, models=models
    )
    print_page(page)
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a terminal wide enough for every row."""
    monkeypatch.setenv("COLUMNS", "200")


def test_a_rolled_back_release_is_told_apart_from_the_one_that_serves(capsys: pytest.CaptureFixture[str]) -> None:
    last = Outcome(release=ref(2), result=Phase.ROLLED_BACK, reason="it crashed", at=NOW)
    report = ModelReport(phase=Phase.ROLLED_BACK, reason="it crashed", current=ref(1), last=last)
    shown = printed(capsys, status(models={"digits": report}), digits=report)
    assert "digits 1 000000000000 stopped - 2 rolled back it crashed" in shown


def test_a_release_under_way_is_shown_with_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    report = ModelReport(phase=Phase.FETCHING, progress=0.4, current=ref(1), candidate=ref(2))
    assert "2 fetching 40%" in printed(capsys, status(), digits=report)


def test_settings_that_were_taken_back_are_named_with_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    last = Outcome(release=ref(3, "configuration"), result=Phase.ROLLED_BACK, reason="no link", at=NOW)
    told = ModelReport(phase=Phase.ROLLED_BACK, reason="no link", current=ref(2, "configuration"), last=last)
    shown = printed(capsys, status(configuration=told))
    assert "settings agent.toml and the fleet's revision 2; revision 3 rolled back: no link" in shown


def test_a_link_that_is_up_shows_no_hour_and_one_that_is_down_shows_the_last_contact(capsys: pytest.CaptureFixture[str]) -> None:
    assert "link up, fleet:8483 outbox" in printed(capsys, status())
    assert "link down, fleet:8483, last contact 2026-06-01 09:00:00 UTC" in printed(capsys, status(is_linked=False))


def test_a_device_whose_agent_never_ran_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "agent not running, and nothing that it did is here" in printed(capsys, None)
