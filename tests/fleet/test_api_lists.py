"""Lists of a running server with data, page by page, and the versions under which things are seen and changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess
from tests.fleet.stocked import stock

LISTS = (
    "devices", "devices?query=all", "groups", "releases", "rollouts", "rollouts/1/devices", "rollouts/1/history", "tokens",
    "devices/pi-1/commands", "devices/pi-1/events", "devices/pi-1/health", "devices/pi-1/health?minutes=1000", "groups/first/devices",
)  # fmt: skip


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcess]:
    """A server with something of everything."""
    folder = tmp_path_factory.mktemp("lists")
    with FleetProcess(folder / "home") as fleet:
        stock(fleet, folder)
        yield fleet


@pytest.fixture
def api(stocked: FleetProcess) -> Iterator[httpx.Client]:
    """A client of it."""
    with stocked.api as client:
        yield client


def walked(api: httpx.Client, path: str, limit: int) -> list[dict[str, Any]]:
    """Follow a list to its end."""
    found: list[dict[str, Any]] = []
    following: dict[str, str] = {}
    for _ in range(50):
        page = api.get(path, params={**dict(httpx.URL(path).params), "limit": limit, **following}).raise_for_status().json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        following = {"cursor": page["next"]}
    raise AssertionError("a list without an end")


def named(items: list[dict[str, Any]]) -> list[object]:
    """Return what tells items apart, without what changes meanwhile."""
    return [item.get("id") or item.get("name") or item.get("device") or item.get("ref") or item["at"] for item in items]


@pytest.mark.parametrize("path", LISTS)
def test_pages_of_one_item_hold_what_one_large_page_holds(api: httpx.Client, path: str) -> None:
    whole = walked(api, path, 1000)

    assert len(whole) >= 1
    assert named(walked(api, path, 1)) == named(whole)


def test_lists_hold_more_than_one_page(api: httpx.Client) -> None:
    sizes = {path: len(walked(api, path, 1000)) for path in ("groups", "releases", "rollouts", "tokens", "rollouts/1/history")}

    assert sizes["rollouts/1/history"] >= 2
    assert {path: size for path, size in sizes.items() if "/" not in path} == {"groups": 3, "releases": 2, "rollouts": 2, "tokens": 4}


def test_what_is_added_meanwhile_moves_no_page(api: httpx.Client) -> None:
    first = api.get("groups", params={"limit": 2}).json()
    api.put("groups/a-new-one", json={"devices": []}).raise_for_status()

    rest = api.get("groups", params={"limit": 2, "cursor": first["next"]}).json()

    api.delete("groups/a-new-one").raise_for_status()
    assert [group["name"] for group in first["items"] + rest["items"]] == ["first", "second", "third"]


def test_devices_of_a_rollout_are_asked_for_by_their_phase(api: httpx.Client) -> None:
    assert "devices" not in api.get("rollouts/1").json()
    found = {
        state: len(api.get("rollouts/1/devices", params={"state": state}).raise_for_status().json()["items"])
        for state in ("committed", "failed", "planned")
    }
    both = api.get("rollouts/1/devices?state=committed&state=failed").json()["items"]

    assert found == {"committed": 1, "failed": 0, "planned": 0}
    assert [device["device"] for device in both] == ["pi-1"]


def test_a_command_prints_a_rollout_whole(stocked: FleetProcess) -> None:
    shown = stocked.ask("rollout", "show", "1")

    assert [(device["device"], device["phase"]) for device in shown["devices"]] == [("pi-1", "committed")]
    assert shown["history"][0]["act"] == "start"
    assert [rollout["id"] for rollout in stocked.ask("rollout", "list")] == [2, 1]
    assert "pi-1" in stocked.run("rollout", "show", "1").stdout


@pytest.mark.parametrize("path", ["groups", "groups/first", "releases", "rollouts/1", "trust/timestamp.json", "openapi.json"])
def test_what_is_known_already_is_not_sent_again(api: httpx.Client, path: str) -> None:
    first = api.get(path)
    etag = first.headers["etag"]

    again = api.get(path, headers={"If-None-Match": f'"other", W/{etag}'})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert api.get(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_an_order_for_a_rollout_that_was_changed_meanwhile_is_refused(api: httpx.Client) -> None:
    # Given two operators who look at a rollout that waits
    seen = api.get("rollouts/2").headers["etag"]
    # When the first one lets it begin... as he may not, because he started it
    assert api.post("rollouts/2/approve", headers={"If-Match": seen}).status_code == 403
    # And aborts it
    aborted = api.post("rollouts/2/abort", headers={"If-Match": seen})
    assert (aborted.status_code, aborted.json()["state"]) == (200, "aborted")
    # Then the other one's order is refused, and under the new version it is judged by itself
    late = api.post("rollouts/2/pause", headers={"If-Match": seen})
    assert (late.status_code, late.headers["content-type"]) == (412, "application/problem+json")
    assert late.json()["detail"].startswith("rollout 2: expected version waiting-1, found aborted-1;")
    assert api.post("rollouts/2/pause", headers={"If-Match": aborted.headers["etag"]}).status_code == 409
    assert api.post("rollouts/2/pause", headers={"If-Match": "aborted"}).status_code == 422


def test_settings_are_changed_as_a_trial_showed_them_or_not_at_all(api: httpx.Client) -> None:
    change = {"query": "all", "set": {"telemetry.health_interval_s": 60}}
    trial = api.post("configurations", json={**change, "dry_run": True}).raise_for_status()
    assert api.post("configurations", json=change, headers={"If-Match": trial.headers["etag"]}).status_code == 201

    late = api.post("configurations", json=change, headers={"If-Match": trial.headers["etag"]})

    assert late.status_code == 412
    assert late.json()["detail"].startswith("configurations: expected version ")


def test_labels_are_changed_as_they_were_seen_or_not_at_all(api: httpx.Client) -> None:
    seen = api.get("devices/pi-1").json()["labels_version"]
    assert api.post("device-labels", json={"devices": {"pi-1": seen}, "put": {"room": "7"}}).json() == {"changed": ["pi-1"]}

    assert api.post("device-labels", json={"devices": {"pi-1": seen}, "drop": ["room"]}).status_code == 412


def test_a_cursor_is_good_for_its_own_list_alone(api: httpx.Client) -> None:
    cursor = api.get("groups", params={"limit": 1}).json()["next"]

    assert api.get("tokens", params={"cursor": cursor}).status_code == 422
    assert api.get("devices", params={"limit": 1001}).status_code == 422


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server with a release, four devices for it, and one that cannot run it."""
    folder = tmp_path_factory.mktemp("several")
    with FleetProcess(folder / "home") as fleet, fleet.api as client:
        make_bundle(folder / "bundle", release=1, size=1000, targets=("rpi5",))
        fleet.ask("release", "add", str(folder / "bundle"))
        for number in range(1, 5):
            fleet.add_device(f"pi-{number}", "rpi5")
        fleet.add_device("tpu-1", "coral")
        yield client


def asked(api: httpx.Client, path: str, question: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """Follow a list that takes a question to its end."""
    found: list[dict[str, Any]] = []
    following: dict[str, str] = {}
    for _ in range(50):
        page = api.post(path, params={"limit": limit, **following}, json=question).raise_for_status().json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        following = {"cursor": page["next"]}
    raise AssertionError("a list without an end")


def test_a_preview_is_told_in_numbers_and_its_devices_page_by_page(several: httpx.Client) -> None:
    new = {"model": "digits", "query": "all"}

    preview = several.post("rollouts/preview", json=new).raise_for_status().json()
    chosen, excluded = (asked(several, f"rollouts/preview/{part}", new, 1) for part in ("chosen", "excluded"))

    assert (preview["chosen"], preview["excluded"]) == (len(chosen), len(excluded)) == (4, 1)
    assert [each["device"] for each in chosen] == ["pi-1", "pi-2", "pi-3", "pi-4"]
    assert chosen == asked(several, "rollouts/preview/chosen", new, 1000)
    assert [(each["device"], each["obstacle"]) for each in excluded] == [("tpu-1", "target")]
    (artifact,), (obstacle,) = preview["artifacts"], preview["obstacles"]
    assert (artifact["devices"], artifact["such_as"], obstacle["such_as"]) == (4, ["pi-1", "pi-2", "pi-3"], ["tpu-1"])
    assert artifact["download_bytes"] == sum(each["download_bytes"] for each in chosen)


def test_settings_are_tried_made_and_followed_page_by_page(several: httpx.Client) -> None:
    change = {"query": "id != pi-4", "set": {"telemetry.window_s": 9}}

    # When a change is tried, each device it means is told of, and none is set
    tried = asked(several, "configurations/trial", change, 1)
    assert [(each["device"], each["is_change"]) for each in tried] == [(name, True) for name in ("pi-1", "pi-2", "pi-3", "tpu-1")]
    assert walked(several, "configurations", 1) == []
    # When it is made, then all are, and wait
    made = several.post("configurations", json=change).raise_for_status().json()
    assert (made["devices"], made["changed"], [each["device"] for each in made["such_as"]]) == (4, 4, [each["device"] for each in tried])
    found = walked(several, "configurations", 1)
    assert [(each["device"], each["state"], each["author"]) for each in found] == [(each["device"], "waiting", "owner") for each in tried]
    assert found == walked(several, "configurations", 1000)
    # And they are found by a query and by their state
    assert [each["device"] for each in walked(several, "configurations?query=id%20%3D%20pi-2&state=waiting", 1)] == ["pi-2"]
    assert walked(several, "configurations?state=in_force", 1) == []
    # And a trial that means nobody is refused as the change would be
    nobody = several.post("configurations/trial", json={**change, "query": "id = nobody"})
    assert (nobody.status_code, "the query matches no device" in nobody.json()["detail"]) == (422, True)
