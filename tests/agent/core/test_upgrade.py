"""What is installed for a version, when it counts as ready, and what becomes of an upgrade that was cut off."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from agent.core.install_plan import DEFAULT_SEAT, UNIT_FILE, Seat, plan, removal, seat_of
from agent.core.upgrade import Sight, Trial, at_start, judge
from agent.core.versions import pip_options, wanted
from agent.errors import InstallError

UNITS = {
    "fieldfare-agent.service": "[Service]\nExecStart=@PREFIX@/current/bin/fieldfare agent run\nUser=@USER@\n",
    "fieldfare-agent.sysusers.conf": "u @USER@ -\n",
    "fieldfare-agent.tmpfiles.conf": "d /etc/fieldfare 0750 root @USER@ -\n",
}


def test_a_version_brings_the_runtimes_that_are_there_as_they_are() -> None:
    asked = wanted("0.2.0", None, {"onnxruntime-gpu": "1.23.0", "tflite-runtime": "2.14.0", "fieldfare": "0.1.0"})
    assert asked.label == "0.2.0"
    assert asked.requirements == ("fieldfare[agent]==0.2.0", "onnxruntime-gpu==1.23.0", "tflite-runtime==2.14.0", "numpy<2")


def test_two_wheels_of_one_version_lie_beside_each_other() -> None:
    wheel = "/media/stick/fieldfare-0.2.0-py3-none-any.whl"
    first, second = (wanted(wheel, digest * 32, {}) for digest in ("ab", "cd"))
    assert first.requirements == (f"{wheel}[agent]",)
    assert (first.label, second.label) == ("0.2.0-abababababab", "0.2.0-cdcdcdcdcdcd")


@pytest.mark.parametrize("text", ["", "../../etc", "0.2.0; rm -rf /", "--index-url=http://x", "latest"])
def test_what_is_neither_a_version_nor_a_wheel_is_refused(text: str) -> None:
    with pytest.raises(InstallError, match="expected the path of a wheel, or a version"):
        wanted(text, None, {})


def test_a_wheel_of_something_else_is_refused() -> None:
    with pytest.raises(InstallError, match="expected a wheel of fieldfare"):
        wanted("/tmp/requests-2.0-py3-none-any.whl", "00" * 32, {})


def test_pip_looks_where_it_is_told_and_nowhere_else() -> None:
    assert pip_options(None) == ()
    assert pip_options("https://pip.example/simple") == ("--index-url", "https://pip.example/simple")
    assert pip_options("/media/stick/wheels") == ("--no-index", "--find-links", "/media/stick/wheels")


@pytest.mark.parametrize(
    ("sight", "is_link_expected", "verdict"),
    [
        (Sight("activating", 0, is_linked=False), False, "wait"),
        (Sight("active", 0, is_linked=False), False, "good"),
        (Sight("active", 0, is_linked=False), True, "wait"),
        (Sight("active", 1, is_linked=True), True, "good"),
        (Sight("activating", 3, is_linked=False), False, "bad"),
        (Sight("failed", 0, is_linked=False), False, "bad"),
    ],
)
def test_a_version_is_good_when_it_is_up_and_reaches_whom_the_one_before_reached(
    sight: Sight, is_link_expected: bool, verdict: str
) -> None:
    assert judge(sight, is_link_expected) == verdict


def test_only_an_upgrade_that_nobody_leads_any_more_is_undone_at_the_start() -> None:
    trial = Trial(good="0.1.0", candidate="0.2.0")
    assert at_start(trial, is_led=False) == "0.1.0"
    assert at_start(trial, is_led=True) is None
    assert at_start(None, is_led=False) is None


def test_the_unit_tells_where_the_agent_is_and_as_whom_it_runs() -> None:
    seat = Seat(PurePosixPath("/srv/ff"), "birds")
    made = plan(UNITS, seat, frozenset({"video", "audio"}), b"", {}, "/")
    texts = {placed.path: placed.content.decode() for placed in made.system_files}
    assert seat_of(texts[UNIT_FILE]) == seat
    # Of the groups that open devices it joins those that this machine has.
    assert texts[PurePosixPath("/etc/sysusers.d/fieldfare-agent.conf")] == "u birds -\nm birds video\n"
    assert seat_of("[Service]\nExecStart=/usr/bin/other\n") is None


def test_every_file_that_installing_places_is_taken_away_again() -> None:
    made = plan(UNITS, DEFAULT_SEAT, frozenset(), b"", {"ca.pem": (b"", False)}, "/")
    gone = removal(DEFAULT_SEAT, is_purge=True)
    assert {placed.path for placed in made.system_files} <= set(gone.paths)
    assert all(any(placed.path.is_relative_to(folder) for folder in gone.kept) for placed in made.agent_files)
