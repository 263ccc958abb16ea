"""The stack that deploy/ describes, of its own files: two servers behind haproxy, on one PostgreSQL and one mosquitto that follows them."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from agent.enrolment import Order, enrol
from tests.fleet.broker_client import Login
from tests.fleet.bundles import make_bundle
from tests.fleet.databases import postgres
from tests.fleet.server import FleetProcess, wait_for
from tests.fleet.test_broker_identity import SECONDS, connected, is_let_in
from tests.live.followed_broker import FollowedBroker
from tests.live.haproxy import haproxy
from tests.live.ports import free_port
from tests.sim.device import SimDevice


class Stack:
    """All of it, and what is asked through the one door in front."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Start the first server, the broker with what that one left for it, the second server, and the balancer before both."""
        database = postgres().new_database().shown.rpartition("/")[2]
        self.home = folder / "home"
        self.broker_port, self.port = free_port(), free_port()
        self.broker = FollowedBroker(self.home, folder / "broker")
        options = ("--database", postgres().url(database), "--broker", f"127.0.0.1:{self.broker_port}", "--proxy-protocol", "127.0.0.1")
        self.first = stack.enter_context(FleetProcess(self.home, None, *options, "--replica", "a"))
        self.token = str(self.first.connection["token"])
        self.broker.start()
        stack.callback(self.broker.stop)
        self.second = stack.enter_context(FleetProcess(self.home, None, *options, "--replica", "b"))
        self.authority = self.home / "authority" / "ca.pem"
        doors = (self.first.tls_port, self.second.tls_port)
        stack.enter_context(haproxy(self.port, doors, folder / "haproxy.log"))
        wait_for(self.is_up)

    @property
    def url(self) -> str:
        """Where people and devices reach the fleet."""
        return f"https://127.0.0.1:{self.port}"

    def api(self) -> httpx.Client:
        """Ask through the balancer, each time on a connection of its own."""
        headers = {"Authorization": f"Bearer {self.token}", "Connection": "close"}
        believed = ssl.create_default_context(cafile=str(self.authority))
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, verify=believed, timeout=60)

    def is_up(self) -> bool:
        """Say whether somebody answers."""
        try:
            with self.api() as api:
                return api.get(f"{self.url}/healthz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def add_device(self, name: str) -> Path:
        """Let a device in, which knows nothing but the balancer's address."""
        with self.api() as api:
            body = {"device": name, "hardware": "cpu", "labels": {}}
            token = api.post("enrolment-tokens", json=body).raise_for_status().json()["token"]
        out = self.home.parent / name
        enrol(Order(self.url, token, None, {}, out))
        return out


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with ExitStack() as opened:
        yield Stack(tmp_path, opened)


def test_the_stack_rolls_out_turns_out_and_goes_on_without_one_of_its_servers(stack: Stack, tmp_path: Path) -> None:
    # Given two devices that were let in through the balancer
    good, bad = stack.add_device("good"), stack.add_device("bad")
    login = replace(Login.of_device(stack.first, bad), port=stack.broker_port)
    make_bundle(tmp_path / "b", release=1)
    stack.second.ask("release", "add", str(tmp_path / "b"))
    with SimDevice(good) as device, connected(login) as ends, stack.api() as api:
        # When one is turned out, then its open connection ends, and once the broker has followed it cannot come back
        api.post("devices/bad/revocation").raise_for_status()
        assert ends.get(timeout=SECONDS)
        wait_for(lambda: not is_let_in(login))
        # When one server dies in mid-rollout
        api.post("rollouts", json={"model": "digits", "query": "id = good"}).raise_for_status()
        stack.first.stop(signal.SIGKILL)
        wait_for(stack.is_up)
        # Then the other brings it to its end
        ended = wait_for(lambda: view if (view := api.get("rollouts/1").json())["state"] != "running" else None)
        assert (ended["state"], ended["counts"]) == ("succeeded", {"committed": 1})
        assert device.problems == []
