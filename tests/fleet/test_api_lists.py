"""Lists of a running server with data, page by page, and the versions under which things are seen and changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fleet.server import FleetProcess
from tests.fleet.stocked import stock

LISTS = (
    "devices", "devices?query=all", "groups", "releases", "rollouts", "rollouts/1/devices", "rollouts/1/history", "tokens",
    "devices/pi-1/commands", "devices/pi-1/events",
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
