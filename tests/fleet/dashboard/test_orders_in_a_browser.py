"""Every button of the dashboard in a real browser against a real server with played devices: what it asks, and what the API says then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fleet.dashboard.visit import Visit
from tests.fleet.played import add_release, settled_devices
from tests.fleet.server import FleetProcess, wait_for
from tests.live.browser import chromium, console_errors

DEVICES = 12
# Pages with orders, and what stands on each once it is drawn.
PAGES = (("/rollouts", "Rollout 1"), ("/rollouts/1", "History"), ("/devices", "sim-00001"), ("/devices/sim-00002", "Inventory"))
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
    with FleetProcess(folder / "home", None, "--simulation") as fleet, settled_devices(fleet, folder, DEVICES, QUICK):
        for release in (2, 3):
            add_release(fleet, folder, release)
        yield fleet


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


def is_drawn(visit: Visit, text: str) -> bool:
    return text in visit.text()


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
    visit.click('input[aria-label="Strategy"]')
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
    wait_for(lambda: shown(stage, f"rollouts/{number}")["counts"] == {"committed": DEVICES})

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
    ended = wait_for(lambda: (found := shown(stage, f"rollouts/{number}"))["ended_at"] and found)
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
        visit.click(f'[row-id="{row}"] input[type="checkbox"]')
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


def test_who_may_only_look_sees_no_button_that_is_not_his(stage: FleetProcess, tmp_path: Path) -> None:
    orders = ["Pause", "Abort", "Promote", "Logs", "Snapshot", "Label…", "Group…", "Change…", "Start…"]
    with signed_in(stage, tmp_path, "viewer") as viewer:
        for path, text in PAGES:
            viewer.open(path)
            viewer.until(partial(is_drawn, viewer, text), f"{path} was not drawn")
            assert [order for order in orders if viewer.buttons(order)] == []
            assert not viewer.all('a[href="/rollouts/new"], a[href$="/settings"], .ag-selection-checkbox')
        assert "asked for" not in viewer.text()
        # And who knows the address is told why not
        for path in ("/rollouts/new", "/devices/sim-00002/settings", "/audit"):
            viewer.open(path)
            assert "yours is viewer" in viewer.text('main [role="alert"]:not(:empty)')
            assert not viewer.buttons("Start…")


def test_settings_are_changed_as_they_were_previewed_and_what_cannot_be_is_said(stage: FleetProcess, visit: Visit) -> None:
    visit.open("/devices/sim-00005/settings")
    visit.until(lambda: "Nothing would change" in visit.text(), "no preview")
    visit.type("Window of inferences, s", "soon")
    visit.until(lambda: "telemetry.window_s" in visit.text(".ff-trouble:not(:empty)"), "nothing says what is wrong")
    assert visit.button("Change settings…").get_attribute("aria-disabled") == "true"
    visit.type("Window of inferences, s", "30")
    visit.until(lambda: "telemetry.window_s\nagent.toml\n30" in visit.text().replace(" ", "\n"), "the preview does not follow")
    visit.press("Change settings…", answer="Leave it")
    assert shown(stage, "devices/sim-00005")["configuration"] is None
    assert "telemetry.window_s: agent.toml → 30" in visit.press("Change settings…", answer="Change settings")
    visit.until(lambda: "Revision 2" in visit.text() and "by owner" in visit.text(), "it is not told what is wished")
    assert shown(stage, "devices/sim-00005")["configuration"]["settings"] == {"telemetry.window_s": 30.0}
    # And the log says who did it, as if by the API
    [row] = shown(stage, "audit", what="configurations")
    assert (row["who"], row["subject"], row["outcome"]) == ("token owner", "sim-00005", "done")
    assert '"telemetry.window_s":30' in row["detail"]


def test_a_shadow_is_started_with_its_budgets_and_its_page_says_how_it_does(stage: FleetProcess, visit: Visit) -> None:
    wait_for(lambda: all(rollout["ended_at"] for rollout in shown(stage, "rollouts")), seconds=60)
    visit.open("/rollouts/new?release=digits+2")
    visit.click('input[aria-label="Strategy"]')
    visit.until(lambda: bool(visit.all(".q-menu .q-item")), "there is no choice")
    [shadow] = [item for item in visit.all(".q-menu .q-item") if item.text.startswith("shadow")]
    shadow.click()
    for label, text in (("Share of inputs in shadow", "20%"), ("Inputs before a device counts", "1000000"), ("Pauses above, °C", "70")):
        visit.type(label, text)
    assert not [field for field in visit.all('input[aria-label="Gate on drift"]') if field.is_displayed()]
    visit.until(lambda: "devices would get it" in visit.text(), "no preview")
    visit.press("Start…", answer="Start it")
    visit.until(lambda: "/rollouts/new" not in visit.browser.current_url, "it does not lead to the rollout")
    number = int(visit.browser.current_url.rsplit("/", 1)[1])
    asked = shown(stage, f"rollouts/{number}")["shadow"]
    assert (asked["share"], asked["min_inputs"], asked["max_temperature_c"]) == (0.2, 1_000_000, 70)
    visit.until(lambda: "Latency, p95" in visit.text(), "nothing is told of the shadow")
    assert "above 50 % of one core, and above 70 °C" in visit.text()
    # When a person goes on without the gate, then the history says who, and what the gate had said
    assert "in shadow now is asked to serve it" in visit.press("Promote", answer="Promote")
    visit.until(lambda: "wave 1 serves after its shadow: by owner" in visit.text(), "the history is not told")
    end(stage, number)


def test_ten_thousand_devices_are_shown_a_page_at_a_time(stage: FleetProcess, visit: Visit) -> None:
    with stage.api as api:
        for first in range(0, 10_000, 1000):
            many = [{"id": f"many-{number:05d}", "hardware": "rpi5"} for number in range(first, first + 1000)]
            api.post("simulated-devices", json={"devices": many}).raise_for_status()
    visit.open("/devices?query=hw+%3D+rpi5")
    visit.until(lambda: "1–50 of 10000" in visit.text(), "it is not told how many there are")
    visit.until(lambda: "many-00049" in visit.rows(), "the first page is not drawn")
    assert len(visit.rows()) <= 50
    visit.click('[aria-label="Next page"]')
    visit.until(lambda: "51–100 of 10000" in visit.text() and "many-00099" in visit.rows(), "the list does not turn")
