"""What an operator asks of a device is done there, once, and comes back: real server, broker, agent and worker."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.enrolment import Order, enrol
from contracts.commands import CostTable
from contracts.topics import of_device, parse_command, parse_result
from tests.fleet.broker_client import Listener, Login
from tests.fleet.server import ROOT, FleetProcess, environment, wait_for
from tests.live.ports import free_port
from tests.sim.open_loop import OK, OpenLoop
from tests.sim.switches import order_for
from tests.sim.tiny_release import MODEL, TinyRelease

SETTINGS = {"telemetry.health_interval_s": "1", "update.probation_s": "0.2"}
DEVICE = "pi-1"


@dataclass
class Device:
    """An enrolled device whose agent runs."""

    fleet: FleetProcess
    folder: Path
    port: int

    def command(self, kind: str, token: str = "", **arguments: str | int) -> dict[str, Any]:
        """Ask something of it, and return how it ended."""
        with self.fleet.api as api:
            if token:
                api.headers["Authorization"] = f"Bearer {token}"
            answer = api.post(f"devices/{DEVICE}/commands", json={"kind": kind, "arguments": arguments})
            if not answer.is_success:
                return {"state": answer.json()["detail"]}
            path = f"devices/{DEVICE}/commands/{answer.json()['id']}"
            found: dict[str, Any] = wait_for(lambda: _if_ended(api.get(path).json()))
            return found


def _if_ended(found: dict[str, Any]) -> dict[str, Any] | None:
    return None if found["state"] in ("pending", "running") else found


@contextmanager
def running(fleet: FleetProcess, folder: Path, port: int) -> Iterator[Device]:
    """Run an enrolled device's agent for as long as the block lasts."""
    command = [sys.executable, "-m", "cli", "agent", "run", "--config", str(folder / "agent.toml")]
    with (folder / "agent.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(fleet.folder), stdout=log, stderr=log)
    try:
        yield Device(fleet, folder, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        finally:
            process.kill()
    assert "Traceback" not in (folder / "agent.log").read_text()


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """A device that serves release 1 of the tiny model."""
    folder = tmp_path_factory.mktemp("commands")
    with FleetProcess(folder / "home") as fleet:
        port = free_port()
        enrol(Order(fleet.tls_url, fleet.token(DEVICE), None, {**SETTINGS, "serve.port": str(port)}, folder / DEVICE))
        TinyRelease().write(folder / "one")
        fleet.ask("release", "add", str(folder / "one"))
        with running(fleet, folder / DEVICE, port) as found:
            assert fleet.ask("rollout", "start", MODEL, "--to", "all", "--wait")["counts"] == {"committed": 1}
            yield found


def test_the_log_comes_back_bounded_in_lines_and_each_command_leaves_a_trace_on_both_sides(device: Device, tmp_path: Path) -> None:
    done = device.fleet.run("device", "command", DEVICE, "logs", "--lines", "3", "-o", str(tmp_path / "log"))

    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0] in (device.folder / "agent.log").read_text()
    given = device.fleet.ask("device", "commands", DEVICE)[0]
    assert (given["asker"], given["order"], given["state"]) == ("owner", {"kind": "logs", "lines": 3}, "ok")
    event = wait_for(lambda: [each for each in device.fleet.ask("device", "show", DEVICE)["events"] if each["kind"] == "command"])[0]
    assert event["facts"]["asker"] == "owner"
    assert event["facts"]["command"] == given["id"]
    assert event["text"] == "owner asked for logs lines 3: ok"
    # And its answer can be had later, too
    later = device.fleet.run("device", "commands", DEVICE, given["id"], "-o", str(tmp_path / "later"))
    assert (later.returncode, (tmp_path / "later").read_text()) == (0, (tmp_path / "log").read_text())
    # And nobody takes the numbers of results, which are heard elsewhere, for lost messages
    wait_for(lambda: not device.fleet.ask("device", "show", DEVICE)["gaps"])


def test_the_golden_set_and_a_benchmark_run_beside_the_worker_that_serves(device: Device, tmp_path: Path) -> None:
    golden = device.command("golden")["findings"]
    timed = device.command("benchmark", runs=20, threads=2)["findings"]

    assert (golden["passed"], golden["samples"], golden["release"]["release"]) == (True, 4, 1)
    assert (timed["runs"], timed["threads"], timed["precision"], timed["provider"]) == (20, 2, "fp32", "CPUExecutionProvider")
    assert 0 < timed["p50_ms"] <= timed["p95_ms"]
    # And the benchmark is a line of the table of costs
    assert device.fleet.run("device", "costs", "-o", str(tmp_path / "costs.json")).returncode == 0
    table = CostTable.model_validate_json((tmp_path / "costs.json").read_bytes())
    assert [(cost.device, cost.hardware, cost.benchmark.p50_ms) for cost in table.costs] == [(DEVICE, "cpu", timed["p50_ms"])]


def test_a_worker_is_replaced_without_a_dropped_request(device: Device) -> None:
    workers = device.fleet.ask("device", "show", DEVICE)["health"]["workers"]
    callers = OpenLoop(order_for(device.port, device.folder / "state"))
    try:
        found = device.command("restart", model=MODEL)
    finally:
        answers = callers.finish()

    assert (found["state"], found["findings"]["was_without_gap"]) == ("ok", True)
    assert workers[MODEL]["state"] == "serving"
    assert len(answers) > 20
    assert [answer for answer in answers if answer.status != OK] == []


def test_what_a_device_cannot_or_must_not_do_is_told_in_one_line(device: Device) -> None:
    picture = device.fleet.run("device", "command", DEVICE, "snapshot", "--wait")
    unknown = device.command("golden", model="nothing")

    assert picture.returncode == 1
    assert picture.stderr == (
        "error: snapshot on pi-1: expected it to be done, found it refused: "
        "snapshot: expected [commands] snapshot = true in this device's agent.toml, found it off\n"
    )
    assert (unknown["state"], unknown["reason"]) == ("failed", "nothing: expected a model of this device, found these: tiny")


def test_a_picture_takes_an_admin_and_everything_else_an_operator(device: Device) -> None:
    with device.fleet.api as api:
        tokens = {role: api.post("tokens", json={"name": role, "role": role}).json()["token"] for role in ("viewer", "operator")}
        picture = api.post(f"devices/{DEVICE}/commands", json={"kind": "snapshot"}).json()
        api.headers["Authorization"] = f"Bearer {tokens['operator']}"
        hidden = api.get(f"devices/{DEVICE}/commands/{picture['id']}").status_code

    assert "expected a token with role admin" in device.command("snapshot", tokens["operator"])["state"]
    assert "expected a token with role operator" in device.command("logs", tokens["viewer"])["state"]
    assert hidden == 403
    done = device.command("logs", tokens["operator"], lines=1)
    assert (done["asker"], done["state"]) == ("operator", "ok")


def test_who_only_watches_the_broker_hears_no_command_and_no_result(device: Device) -> None:
    with Listener(Login.of_viewer(device.fleet)) as viewer, Listener(Login.of_device(device.fleet, device.folder)) as neighbour:
        device.command("logs")
        wait_for(lambda: viewer.heard(of_device(DEVICE, "event")))
        wait_for(lambda: [topic for topic in neighbour.topics() if parse_command(topic) or parse_result(topic)])
        heard = viewer.topics()
    assert [topic for topic in heard if parse_command(topic) or parse_result(topic)] == []


def test_a_command_waits_for_a_device_that_is_away_until_it_expires(device: Device) -> None:
    device.fleet.add_device("away")
    given = device.fleet.ask("device", "command", "away", "logs", "--expires", "1s")

    assert given["state"] == "pending"
    with device.fleet.api as api:
        path = f"devices/away/commands/{given['id']}"
        assert api.get(path).json()["state"] == "pending"
        time.sleep(1.5)  # then nobody will be told of it any more, and it leaves its place to another
        answers = [api.post("devices/away/commands", json={"kind": "logs"}).status_code for _ in range(17)]
        assert (answers.count(201), answers[-1]) == (16, 409)
        wrong = api.post("devices/away/commands", json={"kind": "benchmark", "arguments": {"runs": 0}})
        assert (wrong.status_code, "arguments: benchmark.runs: expected" in wrong.json()["detail"]) == (422, True)
        assert api.get(f"devices/pi-1/commands/{given['id']}").status_code == 404
