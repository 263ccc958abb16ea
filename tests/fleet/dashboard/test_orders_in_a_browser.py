"""Every button of the dashboard in a real browser against a real server with played devices: what it asks, and what the API says then."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.fleet.bundles import make_bundle
from tests.fleet.dashboard.visit import Visit
from tests.fleet.server import ROOT, FleetProcess, environment, wait_for
from tests.live.browser import chromium, console_errors

DEVICES = 12
QUICK = """
health_interval_s = 1
window_s = 1
requests_per_s = 20
download_s = 0.2
probation_s = 0.2
connect_s = 0.5
[releases."digits 3"]
rolled_back = 0.5
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcess]:
    """A server with three releases, whose played devices all run the first."""
    folder = tmp_path_factory.mktemp("orders")
    (folder / "quick.toml").write_text(QUICK)
    with FleetProcess(folder / "home", None, "--simulation") as fleet:
        command = (sys.executable, "-m", "cli", "fleet", "simulate", "--devices", str(DEVICES), "--faults", str(folder / "quick.toml"))
        played = subprocess.Popen((*command, "--seconds", "600"), cwd=ROOT, env=environment(fleet.folder), stdout=subprocess.DEVNULL)
        try:
            with fleet.api as api:
                wait_for(lambda: api.get("overview").json()["online"] == DEVICES)
            for release in (1, 2, 3):
                make_bundle(folder / str(release), release=release)
                fleet.ask("release", "add", str(folder / str(release)))
            assert fleet.ask("rollout", "start", "digits", "--release", "1", "--to", "all", "--wait")["counts"] == {"committed": DEVICES}
            yield fleet
        finally:
            played.terminate()
            played.wait(30)


@contextmanager
def signed_in(fleet: FleetProcess, folder: Path, role: str | None = None) -> Iterator[Visit]:
    """Yield a browser of the owner, or of somebody new in a role."""
    with fleet.api as api, ExitStack() as stack:
        client = api
        if role is not None:
            token = api.post("tokens", json={"name": f"a-{role}", "role": role}).raise_for_status().json()["token"]
            client = stack.enter_context(httpx.Client(base_url=api.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=30))
        link = client.post("login-links").raise_for_status().json()["url"]
        browser = stack.enter_context(chromium(folder / (role or "owner"), height=1400))
        browser.get(link)
        visit = Visit(browser, fleet.connection["url"])
        yield visit
        assert console_errors(browser) == []


@pytest.fixture(scope="module")
def visit(stage: FleetProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    with signed_in(stage, tmp_path_factory.mktemp("browser")) as found:
        yield found


def shown(fleet: FleetProcess, path: str, **asked: str) -> Any:
    """Return what the API shows; of a list, its first page."""
    with fleet.api as api:
        found = api.get(path, params=asked).raise_for_status().json()
    return found["items"] if "next" in found else found


def start(fleet: FleetProcess, **more: Any) -> int:
    with fleet.api as api:
        number: int = api.post("rollouts", json={"model": "digits", "query": "all", **more}).raise_for_status().json()["id"]
    return number


def end(fleet: FleetProcess, rollout: int) -> None:
    """Make room for the next one."""
    with fleet.api as api:
        api.post(f"rollouts/{rollout}/abort").raise_for_status()
    wait_for(lambda: shown(fleet, f"rollouts/{rollout}")["ended_at"])


def asked_for(fleet: FleetProcess, kind: str) -> list[dict[str, Any]]:
    return [one for one in shown(fleet, "devices/sim-00002/commands") if one["order"]["kind"] == kind]


def is_told(viewer: Visit, button: str) -> bool:
    return "yours is viewer" in str(viewer.button(button).get_attribute("title"))


def is_settled(fleet: FleetProcess, rollout: int) -> bool:
    return all(wave["settled"] == wave["devices"] for wave in shown(fleet, f"rollouts/{rollout}")["waves"] if wave["is_open"])


def test_a_rollout_begins_as_it_was_previewed_and_not_before_the_question_is_answered(stage: FleetProcess, visit: Visit) -> None:
    # Given a form that shows whom it would reach
    visit.open("/rollouts/new?release=digits+2")
    visit.until(lambda: "12 devices would get it" in visit.text(), "no preview")
    visit.type("Whom: all, or a query", "id = sim-00001")
    visit.until(lambda: "1 device would get it" in visit.text(), "the preview does not follow")
    visit.type("Whom: all, or a query", "hw = nothing")
    visit.until(lambda: visit.button("Start…").get_attribute("aria-disabled") == "true", "a rollout to nobody may be started")
    visit.type("Whom: all, or a query", "all")
    visit.browser.find_element(By.CSS_SELECTOR, 'input[aria-label="Strategy"]').click()
    visit.until(lambda: bool(visit.all(".q-menu .q-item")), "there is no choice")
    [phased] = [item for item in visit.all(".q-menu .q-item") if item.text.startswith("phased")]
    phased.click()
    visit.until(lambda: bool(visit.all('input[aria-label="Waves: reached with each"]')), "waves cannot be chosen")
    visit.type("Waves: reached with each", "25%,100%")
    visit.type("Watched after each wave", "1h")
    [tick] = [box for box in visit.all(".q-checkbox") if box.text == "A second person approves"]
    tick.click()
    visit.until(lambda: "12 devices would get it" in visit.text(), "the preview does not follow")

    # When the reader leaves it first, and then starts it
    assert "12 devices would get it" in visit.press("Start…", answer="Leave it")
    assert len(shown(stage, "rollouts")) == 1
    visit.press("Start…", answer="Start it")
    visit.until(lambda: visit.browser.current_url.endswith("/rollouts/2"), "it does not lead to the rollout")

    # Then it is what was asked for
    found = shown(stage, "rollouts/2")
    assert (found["strategy"], found["started_by"], found["release"]["release"]) == ("phased", "owner", 2)
    assert ([wave["size"] for wave in found["waves"]], found["state"]) == (["25%", "100%"], "waiting")
    end(stage, 2)


def test_a_rollout_goes_as_the_buttons_say_and_nothing_happens_on_a_no(stage: FleetProcess, visit: Visit) -> None:
    number = start(stage, release=2, strategy="phased", waves=["25%", "100%"], soak_s=3600)
    wait_for(lambda: shown(stage, f"rollouts/{number}")["counts"] == {"committed": 3, "planned": 9})
    visit.open(f"/rollouts/{number}")
    assert "9 devices that were offered nothing yet" in visit.press("Pause", answer="Leave it")
    assert shown(stage, f"rollouts/{number}")["state"] == "running"
    visit.press("Pause", answer="Pause")
    wait_for(lambda: shown(stage, f"rollouts/{number}")["state"] == "paused")
    visit.press("Resume", answer="Resume")
    wait_for(lambda: shown(stage, f"rollouts/{number}")["state"] == "running")
    wait_for(lambda: is_settled(stage, number))
    assert "Wave 2 of 2 opens at once: 9 devices more" in visit.press("Promote", answer="Promote")
    wait_for(lambda: shown(stage, f"rollouts/{number}")["counts"] == {"committed": DEVICES}, seconds=60)

    # And what has ended can be taken back
    visit.until(lambda: visit.text(".ff-big") == "100 %", "the page stands still")
    assert "keep it (12 devices)" in visit.press("Abort", answer="Abort")
    wait_for(lambda: shown(stage, f"rollouts/{number}")["ended_at"])
    assert "brings 12 devices that have digits 2 back" in visit.press("Roll back", answer="Roll back")
    visit.until(lambda: visit.browser.current_url.endswith(f"/rollouts/{number + 1}"), "it does not lead to the way back")
    back = wait_for(lambda: (found := shown(stage, f"rollouts/{number + 1}"))["counts"] == {"committed": DEVICES} and found)
    assert (back["kind"], back["origin"]) == ("rollback", number)
    assert {device["models"]["digits"]["current"]["release"] for device in shown(stage, "devices")} == {1}
    # Which ends by itself: nothing is left to be watched
    wait_for(lambda: shown(stage, f"rollouts/{number + 1}")["state"] == "succeeded")
    visit.open(f"/rollouts/{number}")
    visit.until(lambda: all(act in visit.text() for act in ("promote", "abort", "phased to all")), "the history is not told")


def test_a_second_person_approves_and_the_first_one_is_told_why_not(stage: FleetProcess, visit: Visit, tmp_path: Path) -> None:
    number = start(stage, release=2, strategy="phased", waves=["25%", "100%"], soak_s=3600, approval=True)
    visit.open(f"/rollouts/{number}")
    visit.until(
        lambda: "A second person has to approve it: owner" in str(visit.button("Approve").get_attribute("title")), "nothing says why"
    )
    visit.button("Approve").click()
    assert shown(stage, f"rollouts/{number}")["state"] == "waiting"

    with signed_in(stage, tmp_path, "operator") as other:
        other.open(f"/rollouts/{number}")
        assert "3 devices of the first wave are offered" in other.press("Approve", answer="Approve")
        wait_for(lambda: shown(stage, f"rollouts/{number}")["state"] == "running")
        wait_for(lambda: is_settled(stage, number))
        asked = other.press("Abort", answer="Abort")
        assert "withdrawn from 9 devices" in asked
        ended = wait_for(lambda: (found := shown(stage, f"rollouts/{number}"))["ended_at"] and found)
    assert (ended["state"], ended["state_reason"], ended["counts"]) == ("aborted", "by a-operator", {"committed": 3, "cancelled": 9})


def test_those_that_a_rollout_lost_are_offered_it_again(stage: FleetProcess, visit: Visit) -> None:
    number = start(stage, release=3)
    ended = wait_for(lambda: (found := shown(stage, f"rollouts/{number}"))["ended_at"] and found, seconds=60)
    lost = ended["counts"]["rolled_back"]
    visit.open(f"/rollouts/{number}")
    visit.until(lambda: len(visit.rows()) == DEVICES, "not every device has a row")
    assert visit.cell(visit.rows()[0], "phase").split() == ["undo", "rolled", "back"], "the lost are not shown first"
    assert f"({lost} rolled back)" in visit.press("Retry failed", answer="Retry failed")
    visit.until(lambda: visit.browser.current_url.endswith(f"/rollouts/{number + 1}"), "it does not lead to the new one")
    found = shown(stage, f"rollouts/{number + 1}")
    assert (found["kind"], sum(found["counts"].values())) == ("retry", lost)


def test_a_device_is_asked_and_labelled_from_its_page(stage: FleetProcess, visit: Visit) -> None:
    visit.open("/devices/sim-00002")
    visit.press("Logs", answer="Leave it")
    assert shown(stage, "devices/sim-00002/commands") == []
    for text, kind in (
        ("Logs", "logs"),
        ("Golden set", "golden"),
        ("Benchmark", "benchmark"),
        ("Restart worker", "restart"),
        ("Snapshot", "snapshot"),
    ):
        assert "1 device is asked: sim-00002" in visit.press(text, answer=text)
        given = wait_for(partial(asked_for, stage, kind))
        assert given[0]["asker"] == "owner"
    visit.until(lambda: "owner asked for logs lines 200" in visit.text(), "the history does not tell of it")

    visit.press("Change…", answer=None)
    visit.type("Set, such as site=lyon room=5", "site=lyon floor=2")
    visit.answer("Continue")
    assert "On 1 device, sim-00002:" in visit.answer("Change labels")
    labels = wait_for(lambda: (found := shown(stage, "devices/sim-00002")["labels"]).get("site") and found)
    assert (labels["site"], labels["floor"]) == ("lyon", "2")
    visit.until(lambda: "lyon" in visit.text(), "the page does not show it")


def test_many_devices_are_labelled_and_grouped_at_once(stage: FleetProcess, visit: Visit) -> None:
    visit.open("/devices?query=hw+%3D+cpu")
    visit.until(lambda: len(visit.rows()) == DEVICES, "not every device has a row")
    for row in ("sim-00003", "sim-00004"):
        visit.browser.find_element(By.CSS_SELECTOR, f'[row-id="{row}"] input[type="checkbox"]').click()
    visit.press("Label…", answer=None)
    visit.type("Set, such as site=lyon room=5", "site=oslo")
    assert "2 devices ticked (sim-00003, sim-00004)" in visit.answer("Continue")
    assert "set site = oslo" in visit.answer("Leave it")
    assert shown(stage, "devices", query="label.site = oslo") == []
    visit.press("Label…", answer=None)
    visit.type("Set, such as site=lyon room=5", "site=oslo")
    visit.answer("Continue")
    visit.answer("Change labels")
    found = wait_for(lambda: shown(stage, "devices", query="label.site = oslo"))
    assert [device["id"] for device in found] == ["sim-00003", "sim-00004"]

    visit.open("/devices?query=label.site+%3D+oslo")
    visit.until(lambda: len(visit.rows()) == 2, "the query does not filter")
    visit.press("Group…", answer=None)
    visit.type("The group's name, such as night-shift", "north")
    visit.answer("Continue")
    assert "Group north is new; it will have 2 devices." in visit.answer("Save group")
    wait_for(lambda: [group for group in shown(stage, "groups") if group["name"] == "north"])
    members = shown(stage, "groups/north/devices")
    assert [member["device"] for member in members] == ["sim-00003", "sim-00004"]
    visit.open("/devices/sim-00003")
    visit.until(lambda: "north" in visit.text(), "the device's page does not tell its group")


def test_who_may_only_look_is_told_so_on_every_button(stage: FleetProcess, tmp_path: Path) -> None:
    with signed_in(stage, tmp_path, "viewer") as viewer:
        for path, button in (("/rollouts/2", "Abort"), ("/devices/sim-00001", "Logs"), ("/devices", "Label…"), ("/rollouts/new", "Start…")):
            viewer.open(path)
            viewer.until(partial(is_told, viewer, button), f"{button} does not say why")
            viewer.button(button).send_keys(Keys.ENTER)
            assert not viewer.all(".ff-dialog")
        viewer.open("/rollouts")
        assert not viewer.all('a[href="/rollouts/new"]')
        viewer.open("/devices/sim-00002")
        assert "asked for" not in viewer.text()


def test_ten_thousand_devices_are_shown_a_page_at_a_time(stage: FleetProcess, visit: Visit) -> None:
    with stage.api as api:
        for first in range(0, 10_000, 1000):
            many = [{"id": f"many-{number:05d}", "hardware": "rpi5"} for number in range(first, first + 1000)]
            api.post("simulated-devices", json={"devices": many}).raise_for_status()
    visit.open("/devices?query=hw+%3D+rpi5")
    visit.until(lambda: "1–50 of 10000" in visit.text(), "it is not told how many there are")
    assert len(visit.rows()) <= 50
    assert "many-00049" in visit.rows()
    visit.browser.find_element(By.CSS_SELECTOR, '[aria-label="Next page"]').click()
    visit.until(lambda: "51–100 of 10000" in visit.text() and "many-00099" in visit.rows(), "the list does not turn")
