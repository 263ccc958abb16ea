"""Played devices at a real broker with nobody behind it: what it forgets is said again, and what there is no room for is counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contracts.lifecycle import Phase
from contracts.messages import InferenceWindow, ReleaseRef
from contracts.topics import of_every_device
from fleet.simulate.device import Device, Update
from fleet.simulate.lines import Lines
from fleet.simulate.play import Play
from fleet.simulate.scenario import Faults, Scenario
from tests.live.ports import free_port

WAIT_S = 40.0
DEVICES = 5


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A broker of the test's own; the socket and the port at which it lets in everybody."""
    door, port = tmp_path / "door", free_port()
    user = "user root\n" if os.geteuid() == 0 else ""
    (tmp_path / "conf").write_text(f"{user}listener 0 {door}\nlistener {port} 127.0.0.1\nallow_anonymous true\n")
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert program is not None
    with subprocess.Popen([program, "-c", str(tmp_path / "conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(door.is_socket)
        yield door, port
        process.terminate()


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


class Server:
    """Somebody who takes windows."""

    def __init__(self, port: int) -> None:
        """Subscribe."""
        self.ordinals: dict[str, list[int]] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(of_every_device("inference"), 1)
        self._client.loop_start()

    def _hear(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        window = InferenceWindow.model_validate_json(message.payload)
        self.ordinals.setdefault(window.session, []).append(window.ordinal or 0)

    def close(self) -> None:
        """Go away."""
        self._client.disconnect()
        self._client.loop_stop()


def test_what_nobody_took_comes_once_somebody_is_there_but_for_what_was_counted_as_given_up(doors: tuple[Path, int]) -> None:
    # Given devices that serve, and nobody who takes what they say
    scenario = Scenario.model_validate({"window_s": 0.5, "health_interval_s": 1})
    lines = Lines(doors[0], Play(scenario, Random(1), "1.0"), Faults(), Random(1), 1.0)
    devices = [Device(f"sim-{number}", scenario.groups[0], "cpu") for number in range(DEVICES)]
    for device in devices:
        serving = Update()
        serving.phase, serving.current = Phase.COMMITTED, ReleaseRef(model="digits", release=1, manifest_sha256="ab" * 32)
        device.updates = {"digits": serving}
    lines.add(devices, 0.1)
    is_over = threading.Event()
    playing = threading.Thread(target=lines.run, args=(time.time() + 10 * WAIT_S, lambda: not is_over.is_set()))
    playing.start()
    until(lambda: lines.counts["untaken"] >= 2 * DEVICES and lines.counts["given up"] > 0)
    # When somebody comes
    server = Server(doors[1])
    given_up = 0

    def has_all() -> bool:
        nonlocal given_up
        given_up = lines.counts["given up"]
        heard = [list(ordinals) for ordinals in server.ordinals.values()]
        return len(heard) == DEVICES and sum(max(each) - len(set(each)) for each in heard) == given_up

    # Then all comes but what was counted
    until(has_all)
    assert given_up > 0
    is_over.set()
    playing.join(WAIT_S)
    server.close()
    assert all(len(set(each)) == len(each) for each in server.ordinals.values())
