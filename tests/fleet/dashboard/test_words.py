"""How values look to people."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import get_args

import pytest

from contracts.lifecycle import Phase
from contracts.messages import DeviceEvent, ModelReport, WorkerHealth
from fleet.dashboard.charts import with_gaps
from fleet.dashboard.device_rows import row_of
from fleet.dashboard.tiles import ORDER
from fleet.dashboard.words import LOOKS, STATUSES, number, phase_to_show, short_digest, size
from fleet.views.devices import DeviceSummary
from fleet.views.releases import ReleaseView
from fleet.views.rollouts import RolloutState
from tests.sim.fleet_reader import MovingFleet

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


def words_of_field(model: type, field: str) -> set[str]:
    annotation: object = model.model_fields[field].annotation  # type: ignore[attr-defined]  # every caller passes a pydantic model
    return set(get_args(annotation))


def test_every_state_that_can_be_shown_has_a_look() -> None:
    states = {phase.value for phase in Phase} | set(get_args(RolloutState)) | words_of_field(DeviceSummary, "status")
    states |= words_of_field(ReleaseView, "verdict") | words_of_field(DeviceEvent, "severity") | words_of_field(WorkerHealth, "state")
    assert states - set(LOOKS) == set()
    assert words_of_field(DeviceSummary, "status") == set(STATUSES) == set(ORDER)


def test_no_two_statuses_look_alike_without_colour() -> None:
    assert len({look.icon for look in STATUSES.values()}) == len(STATUSES)


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_760_000, "3.8 MB"), (64 << 30, "68.7 GB")])
def test_sizes_have_decimal_units(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.5, "0.5"), (6.649, "6.65"), (10.0, "10.0"), (30479.2, "30\u202f479")])
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_digest_is_shown_by_its_start() -> None:
    assert short_digest("0123456789abcdef" * 4) == "0123456789ab"


def test_the_model_under_way_is_shown_before_the_one_that_failed_and_the_one_that_is_done() -> None:
    done, failed, under_way = (ModelReport(phase=phase) for phase in (Phase.COMMITTED, Phase.FAILED, Phase.FETCHING))
    assert phase_to_show({"a": done, "b": failed, "c": under_way}) == under_way
    assert phase_to_show({"a": done, "b": failed}) == failed
    assert phase_to_show({}) is None


def test_a_line_is_broken_where_the_device_was_silent() -> None:
    moments = [NOON + timedelta(seconds=second) for second in (0, 10, 20, 300, 310)]
    values = [value for _, value in with_gaps([(moment, 1.0) for moment in moments])]
    assert values == [1.0, 1.0, 1.0, None, 1.0, 1.0]


def test_a_device_that_was_never_heard_has_a_row_without_numbers() -> None:
    [new] = [device for device in MovingFleet(9).devices() if device.status == "new"]
    row = row_of(new)
    assert (row["status"], row["cpu"], row["memory"], row["temperature"], row["seen"]) == ("new", None, None, None, None)
