"""The command itself with the real worker: callers do not notice that a release is replaced under them."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path

from contracts.lifecycle import Phase
from contracts.messages import InferenceWindow
from tests.agent.conftest import DEVICE, AgentProcess
from tests.sim.fleet import Release, SimFleet
from tests.sim.tiny_release import MODEL, TinyRelease


class Caller(threading.Thread):
    """Asks without pause until told to stop; keeps its connection as long as the server does."""

    def __init__(self, port: int, token: str) -> None:
        """Ask the model on `port`."""
        super().__init__()
        self.answers: list[int] = []
        self.faults: list[str] = []
        self._is_over = threading.Event()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._body = json.dumps({"inputs": [{"name": "image", "shape": [1, 4, 4], "datatype": "UINT8", "data": list(range(16))}]})

    def run(self) -> None:
        """Ask, and keep every status."""
        while not self._is_over.is_set():
            self._ask()
        self._connection.close()

    def finish(self) -> None:
        """Stop asking."""
        self._is_over.set()
        self.join(30)

    def _ask(self) -> None:
        try:
            self._connection.request("POST", f"/v2/models/{MODEL}/infer", self._body, self._headers)
            response = self._connection.getresponse()
            response.read()
            self.answers.append(response.status)
        except (OSError, http.client.HTTPException) as error:
            self.faults.append(repr(error))
            self._connection.close()


def tiny(folder: Path, number: int) -> Release:
    """Compile a real release by hand."""
    manifest = TinyRelease(release=number, seed=number).write(folder)
    return Release(manifest, {path: (folder / path).read_bytes() for path in manifest.files})


def test_no_request_fails_while_a_release_is_replaced(fleet: SimFleet, device: AgentProcess, tmp_path: Path) -> None:
    # Given a device that serves release 1 through the real worker
    device.behaviours = None
    first, second = tiny(tmp_path / "1", 1), tiny(tmp_path / "2", 2)
    fleet.release(first, second)
    device.start()
    fleet.wish(DEVICE, 1, first)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED, model=MODEL)
    # And two callers who never pause
    token = (device.state / "api.token").read_text().strip()
    callers = [Caller(device.serve_port, token) for _ in range(2)]
    for caller in callers:
        caller.start()
    fleet.wait_for(InferenceWindow, DEVICE, lambda window: window.release == first.ref)
    # When release 2 takes over
    fleet.wish(DEVICE, 2, second)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED and model.current == second.ref, model=MODEL)
    fleet.wait_for(InferenceWindow, DEVICE, lambda window: window.release == second.ref)
    for caller in callers:
        caller.finish()
    # Then every one of their requests was answered
    assert [fault for caller in callers for fault in caller.faults] == []
    assert {status for caller in callers for status in caller.answers} == {200}
