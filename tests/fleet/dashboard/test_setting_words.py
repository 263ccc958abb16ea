"""How settings read on a device's page: each has a name, only what was touched is asked for, and what came of it is said."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from contracts.configuration import PATHS, SETTABLE, Configuration
from contracts.errors import InvalidDocumentError
from contracts.lifecycle import Phase
from contracts.messages import ModelReport, Outcome, ReleaseRef
from contracts.settings import SettingValue
from fleet.dashboard.setting_words import NAMES, TITLES, change_of, differences, outcome
from fleet.dashboard.words import LOOKS
from fleet.views.settings import ConfigurationView, ConfiguredDevice

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
BEFORE: dict[str, SettingValue] = {"telemetry.window_s": 30.0, "delivery.sources": ("mqtt", "https")}
SAME = {"telemetry.window_s": "30", "delivery.sources": "mqtt,https", "worker.memory_mib": ""}
WISHED = Configuration(revision=3, settings={"telemetry.window_s": 5.0})


def ref(revision: int, sha256: str) -> ReleaseRef:
    return ReleaseRef(model="configuration", release=revision, manifest_sha256=sha256)


def view(reported: ModelReport | None) -> ConfigurationView:
    return ConfigurationView(revision=3, sha256=WISHED.sha256, settings=WISHED.settings, author="anna", at=NOW, reported=reported)


def test_every_setting_that_a_fleet_may_change_has_a_name_on_the_page() -> None:
    assert (set(NAMES), set(TITLES)) == (set(PATHS), set(SETTABLE))


def test_only_what_was_touched_is_asked_for_and_an_emptied_field_goes_to_the_device() -> None:
    untouched = change_of("pi-1", BEFORE, SAME, dry_run=True)
    assert (untouched.query, untouched.set, untouched.unset, untouched.dry_run) == ('id = "pi-1"', {}, (), True)
    touched = change_of("pi-1", BEFORE, SAME | {"telemetry.window_s": " ", "delivery.sources": "folder, mqtt"}, dry_run=False)
    assert (touched.set, touched.unset) == ({"delivery.sources": ("folder", "mqtt")}, ("telemetry.window_s",))
    with pytest.raises(InvalidDocumentError, match=r"telemetry\.window_s"):
        change_of("pi-1", BEFORE, SAME | {"telemetry.window_s": "soon"}, dry_run=True)


def test_a_preview_names_each_setting_that_changes_and_no_other() -> None:
    after = {"telemetry.window_s": 5.0, "delivery.sources": ("mqtt", "https"), "worker.memory_mib": 512}
    found = ConfiguredDevice(device="pi-1", revision=3, before=BEFORE, after=after, is_change=True)
    assert differences(found) == [("telemetry.window_s", "30", "5"), ("worker.memory_mib", "agent.toml", "512")]


@pytest.mark.parametrize(
    ("reported", "state", "text"),
    [
        (None, "pending", "has not told of it"),
        (ModelReport(phase=Phase.COMMITTED, current=ref(2, "2" * 64)), "pending", "has not begun"),
        (ModelReport(phase=Phase.PROBATION, current=ref(3, WISHED.sha256), reason="until its link is proved"), "probation", "its link"),
        (ModelReport(phase=Phase.COMMITTED, current=ref(3, WISHED.sha256)), "in-force", "keeps it"),
        (
            ModelReport(
                phase=Phase.ROLLED_BACK,
                current=ref(2, "2" * 64),
                last=Outcome(release=ref(3, WISHED.sha256), result=Phase.ROLLED_BACK, reason="the broker was not reached", at=NOW),
            ),
            "rolled_back",
            "the broker was not reached; in force is revision 2.",
        ),
        (
            ModelReport(
                phase=Phase.REJECTED,
                last=Outcome(release=ref(3, WISHED.sha256), result=Phase.REJECTED, reason="unknown setting", at=NOW),
            ),
            "refused",
            "unknown setting; in force is its own agent.toml.",
        ),
    ],
)
def test_what_came_of_a_change_is_said_with_its_reason(reported: ModelReport | None, state: str, text: str) -> None:
    found = outcome(view(reported))
    assert found.state == state
    assert text in found.text
    assert found.state in LOOKS
