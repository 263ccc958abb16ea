"""The scenario file: what is read, shared out, and refused by name."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidDocumentError
from fleet.simulate.fleet import make_devices
from fleet.simulate.scenario import Behaviour, Faults, Scenario, read_scenario

DOCS = Path(__file__).parents[3] / "docs"
BAD_DAY = """
seed = 7
[[groups]]
share = 0.9
hardware = { rpi5 = 3, cpu = 1 }
labels = { site = "lyon" }
[[groups]]
share = 0.1
behaviour = "flaky"
[faults]
drop = 0.01
[releases."digits 2"]
errors = 0.05
"""


def test_a_file_is_read_and_its_devices_are_mixed_and_named(tmp_path: Path) -> None:
    file = tmp_path / "bad-day.toml"
    file.write_text(BAD_DAY)

    scenario = read_scenario(file)
    devices = make_devices(scenario, 200, "trial", Random(7))

    assert [device.name for device in devices[:2]] == ["trial-00000", "trial-00001"]
    flaky = [index for index, device in enumerate(devices) if device.group.behaviour is Behaviour.FLAKY]
    assert len(flaky) == 20
    assert flaky != list(range(flaky[0], flaky[0] + 20))
    assert {device.hardware for device in devices} == {"rpi5", "cpu"}
    assert scenario.effect_of("digits", 2).errors == 0.05
    assert scenario.effect_of("digits", 3).errors == 0.0


@given(st.lists(st.integers(1, 100), min_size=1, max_size=12), st.integers(1, 5000))
def test_groups_share_out_every_device(weights: list[int], devices: int) -> None:
    shares = [weight / sum(weights) for weight in weights]
    scenario = Scenario.model_validate({"groups": [{"share": share} for share in shares]})

    counts = [count for _, count in scenario.counts(devices)]

    assert sum(counts) == devices
    assert min(counts) >= 0


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("speed = 2", "speed"),
        ("[[groups]]\nshare = 0.5", "document"),
        ("[[groups]]\nshare = 1\nbehaviour = 'asleep'", "groups.0.behaviour"),
        ("[faults]\ndrop = 2", "faults.drop"),
        ("[[", "syntax"),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_what_is_wrong(tmp_path: Path, text: str, field: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)

    with pytest.raises(InvalidDocumentError, match=rf"wrong\.toml: {field}: expected"):
        read_scenario(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocumentError, match=r"nowhere\.toml: file: expected a readable scenario"):
        read_scenario(tmp_path / "nowhere.toml")


def test_the_file_that_the_documentation_shows_is_one(tmp_path: Path) -> None:
    _, _, text = (DOCS / "simulate.md").read_text().partition("## The file\n")
    file = tmp_path / "shown.toml"
    file.write_text("\n".join(line.removeprefix("    ") for line in text.splitlines() if line.startswith("    ")))

    shown = read_scenario(file)

    assert {group.behaviour for group in shown.groups} == {Behaviour.STEADY, Behaviour.FLAKY, Behaviour.FAILING}
    assert all(f"| `{behaviour.value}` |" in text for behaviour in Behaviour)
    assert all(f"| `{fault}` |" in text for fault in Faults.model_fields)
