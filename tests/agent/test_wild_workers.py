"""Workers that go wrong in every way for a while: the agent stays, answers as soon as somebody serves, and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from contracts.lifecycle import Phase
from contracts.messages import DeviceEvent, Health
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.sim.fleet import SimFleet
from tests.sim.releases import Release, make_release
from tests.sim.tiny_release import MODEL, TinyRelease

WILD_S = 15.0
# A slow machine needs longer for as many.
LEAST_STRIKES, LEAST_RESTARTS = 3, 2
BODY = json.dumps({"inputs": [{"name": "image", "shape": [1, 4, 4], "datatype": "UINT8", "data": list(range(16))}]})


@dataclass
class Caller:
    """Asks one model without pause, each time on a new connection."""

    endpoint: str
    path: str
    token: str
    answers: int = 0
    faults: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until told to stop."""
        while not self.is_over.is_set():
            self.ask()
            time.sleep(0.02)

    def ask(self) -> None:
        """Ask once; callers wait in the queue of the sockets while nobody serves."""
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"), timeout=120)
        try:
            connection.request("POST", self.path, BODY, {"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            self.answers += 1
        except (OSError, http.client.HTTPException) as error:
            self.faults.append(repr(error))
        finally:
            connection.close()


def workers(agent: AgentProcess, model: str = "") -> list[int]:
    """Return the processes that were told to serve from the device's state folder, of one model or of all."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if str(agent.state) in words and f'"model":"{model}' in words:
            found.append(int(folder.name))
    return found


def counted(agent: AgentProcess, kind: str) -> int:
    """Return how many descriptors (`fd`) or threads (`task`) the control process has."""
    assert agent.process is not None
    return sum(1 for _ in Path(f"/proc/{agent.process.pid}/{kind}").iterdir())


def serve_two_models(fleet: SimFleet, device: AgentProcess, folder: Path) -> list[Caller]:
    """Have the device serve a real model and a stand-in; return who asks them."""
    manifest = TinyRelease().write(folder)
    real = Release(manifest, {path: (folder / path).read_bytes() for path in manifest.files})
    fleet.release(real, make_release(1))
    device.behaviours = {"real": MODEL, "1": "wild"}
    with device.config.open("a") as config:
        config.write("[worker]\nmemory_mib = 250\n")
    device.start()
    fleet.wish(DEVICE, 1, real, make_release(1))
    endpoints = [fleet.wait_for_model(DEVICE, is_committed, model=model).endpoint for model in (MODEL, "digits")]
    token = (device.state / "api.token").read_text().strip()
    return [Caller(endpoints[0], f"/v2/models/{MODEL}/infer", token), Caller(endpoints[1], "/", token)]


def is_committed(model: object) -> bool:
    """Say whether a release serves for good."""
    return getattr(model, "phase", None) is Phase.COMMITTED


def torment(device: AgentProcess, caller: Caller, strike: Callable[[int], None]) -> int:
    """Strike at the real model's worker whenever it has answered for a while, as the other's run wild; return the number of strikes."""
    wild = device.state / "wild"
    wild.touch()
    strikes, end_s = 0, time.monotonic() + WILD_S
    wild_ones: set[int] = set()
    while strikes < LEAST_STRIKES or len(wild_ones) <= LEAST_RESTARTS or time.monotonic() < end_s:
        wild_ones.update(workers(device, "digits"))
        answered = caller.answers
        until(lambda: caller.answers > answered + 10, timeout_s=150)  # noqa: B023 - asked before it changes
        for pid in workers(device, MODEL)[:1]:
            strike(pid)
            strikes += 1
    wild.unlink()
    return strikes


def test_the_agent_outlives_wild_workers_and_only_their_own_requests_fail(fleet: SimFleet, device: AgentProcess, tmp_path: Path) -> None:
    # Given a real model and a stand-in that are served and asked without pause
    callers = serve_two_models(fleet, device, tmp_path / "tiny")
    threads = [threading.Thread(target=caller.run) for caller in callers]
    for thread in threads:
        thread.start()
    until(lambda: all(caller.answers > 10 for caller in callers))
    quiet = {kind: counted(device, kind) for kind in ("fd", "task")}
    chance = random.Random(5)
    mark = fleet.mark
    # When one is killed or stopped now and then, and the other goes wrong by itself
    strikes = torment(device, callers[0], lambda pid: os.kill(pid, chance.choice((signal.SIGKILL, signal.SIGSTOP))))
    # Then the agent is still the same, and both are answered as soon as they serve again
    answered = [caller.answers for caller in callers]
    until(lambda: all(caller.answers > before + 10 for caller, before in zip(callers, answered, strict=True)))
    for caller, thread in zip(callers, threads, strict=True):
        caller.is_over.set()
        thread.join(120)
    assert device.process is not None
    assert device.process.poll() is None
    # And no request failed but the one that a worker was at when it died
    health = fleet.wait_for(
        Health, DEVICE, lambda said: {worker.state for worker in said.workers.values()} == {"serving"}, since=fleet.mark
    )
    restarts = {model: worker.restarts for model, worker in health.workers.items()}
    assert restarts[MODEL] == strikes >= LEAST_STRIKES
    assert restarts["digits"] >= LEAST_RESTARTS
    assert [len(caller.faults) <= restarts[model] for caller, model in zip(callers, (MODEL, "digits"), strict=True)] == [True, True]
    told = [event.facts["state"] for event in fleet.all(DeviceEvent, since=mark) if event.kind == "worker" and event.model == MODEL]
    assert told[:2] == ["down", "up"]
    # And no process, descriptor or thread is left over
    until(lambda: len(workers(device)) == 2)
    until(lambda: counted(device, "fd") <= quiet["fd"])
    until(lambda: counted(device, "task") <= quiet["task"])
    assert device.stop() == 0
    until(lambda: workers(device) == [])
