"""The link to the broker: absent, lost, back again; inference does not care."""

from __future__ import annotations

import signal
import stat

import psutil

from contracts.lifecycle import Phase
from contracts.messages import Birth, DeviceEvent, Health, InferenceWindow, Message, Reported, Want
from tests.agent.conftest import DEVICE, AgentProcess, until, written
from tests.agent.test_update_journeys import committed
from tests.live.mosquitto import Mosquitto
from tests.sim.fleet import SimFleet

SAID: tuple[type[Message], ...] = (Birth, Reported, Health, InferenceWindow, DeviceEvent, Want)


def test_a_killed_agent_is_declared_offline_by_its_will_and_leaves_no_worker(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    birth = fleet.wait_for_birth(DEVICE, online=True)
    committed(fleet, device)
    assert device.process is not None
    workers = psutil.Process(device.process.pid).children(recursive=True)
    assert workers
    device.kill()
    will = fleet.wait_for_birth(DEVICE, online=False)
    assert will.session == birth.session
    until(lambda: not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers))


def test_an_agent_that_is_stopped_says_goodbye_and_exits_cleanly(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    birth = fleet.wait_for_birth(DEVICE, online=True)
    mark = committed(fleet, device)
    assert device.stop() == 0
    goodbye = fleet.wait_for_birth(DEVICE, online=False)
    assert goodbye.session == birth.session
    assert goodbye.sequence > birth.sequence
    assert not [event for event in fleet.all(DeviceEvent, since=mark) if event.kind == "worker"]


def test_without_a_broker_the_committed_release_serves_and_the_link_comes_up_later(
    broker: Mosquitto, fleet: SimFleet, device: AgentProcess
) -> None:
    # Given a device with a committed release, and a broker that is down
    device.start()
    committed(fleet, device)
    device.stop()
    mark = fleet.mark
    broker.stop()
    # When the agent starts
    device.start()
    until(lambda: serves(device))
    # Then it serves, and reports as soon as the broker is up
    broker.start()
    fleet.wait_for_birth(DEVICE, online=True, since=mark)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED, since=mark)


def test_windows_and_events_wait_while_the_broker_restarts(broker: Mosquitto, fleet: SimFleet, device: AgentProcess) -> None:
    # Given an agent that lost its broker, and a request whose window cannot be sent
    device.start()
    mark = committed(fleet, device)
    broker.stop()
    until(lambda: "expected a connection" in device.log())
    assert device.who_serves() == "1"
    # When the broker is back; the agent sleeps until somebody listens there
    device.signal(signal.SIGSTOP)
    broker.start()
    fleet.wait_until_listening()
    device.signal(signal.SIGCONT)
    # Then nothing was lost
    back = fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.kind == "link", since=mark)
    assert back.facts["dropped"] == "0"
    windows = fleet.wait_for(InferenceWindow, DEVICE, lambda window: window.sent_at < back.sent_at, since=mark)
    assert windows.session == back.session


def test_what_waited_for_the_link_outlives_a_kill_of_the_agent(broker: Mosquitto, fleet: SimFleet, device: AgentProcess) -> None:
    # Given an agent without a link, whose model was asked once, and which is killed once the window waits on the disk
    device.start()
    mark = committed(fleet, device)
    # What was asked before has been told
    earlier = fleet.wait_for(InferenceWindow, DEVICE, lambda window: window.requests > 0)
    broker.stop()
    until(lambda: "expected a connection" in device.log())
    session = fleet.wait_for_birth(DEVICE, online=True).session
    assert device.who_serves() == "1"
    outbox = device.state / "outbox"
    until(lambda: b" inference " in written(outbox))
    device.kill()
    # When broker and agent are back
    broker.start()
    fleet.wait_until_listening()
    device.start()
    # Then the window of the session before arrives, with its distribution
    window = fleet.wait_for(
        InferenceWindow, DEVICE, lambda window: (window.session, window.sequence > earlier.sequence) == (session, True), since=mark
    )
    assert window.requests == 1
    assert window.ordinal is not None


def test_health_and_windows_carry_one_growing_sequence(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    committed(fleet, device)
    window = fleet.wait_for(InferenceWindow, DEVICE, lambda _: True)
    assert window.release.release == 1
    health = fleet.wait_for(Health, DEVICE, lambda health: "digits" in health.workers and health.workers["digits"].state == "serving")
    assert health.workers["digits"].rss_bytes > 0
    assert health.memory_total_bytes > 0
    for kind in (Health, InferenceWindow, DeviceEvent, Reported):
        sequences = [message.sequence for message in fleet.all(kind)]
        assert sequences == sorted(set(sequences))
    # Whatever has a number is heard: what is missing was lost
    until(lambda: (numbers := sorted({each.sequence for kind in SAID for each in fleet.all(kind)})) == list(range(1, len(numbers) + 1)))


def test_the_token_and_the_local_socket_are_for_the_owner(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    committed(fleet, device)
    token, unix = device.state / "api.token", device.state / "run" / "digits.sock"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(unix.stat().st_mode) == 0o660
    assert unix.is_socket()


def serves(device: AgentProcess) -> bool:
    """Say whether the model answers."""
    try:
        return device.who_serves() == "1"
    except OSError:
        return False


def test_what_the_broker_acknowledged_is_said_again_by_the_next_agent_and_only_once(fleet: SimFleet, device: AgentProcess) -> None:
    # Given an agent whose first event was acknowledged, and which is then killed
    device.start()
    started = fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.kind == "started")
    until(lambda: b'"started"' in written(device.state / "said"))
    device.kill()
    mark = fleet.mark
    # When the next one starts, which cannot know whether the broker lived on
    device.start()
    fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.kind == "started" and event.session != started.session, since=mark)
    # Then it says it again, by the number that it had
    again = [(event.session, event.sequence) for event in fleet.all(DeviceEvent, since=mark)]
    assert again.count((started.session, started.sequence)) == 1
