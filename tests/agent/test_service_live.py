"""The service under real systemd, in a container, from the built wheel: it starts, is watched, bounded, replaced and taken away."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.commands import CommandResult, GoldenOrder
from tests.agent.conftest import until
from tests.live.debian import FIRST, WHEELS
from tests.live.device import (
    BETTER_TASKS,
    FIELDFARE,
    MUTE_TASKS,
    STATE,
    TASKS,
    UNIT,
    WRITABLE,
    Device,
    able_to_serve,
    absence_s,
    fast_watchdog,
    installed_device,
    make_mute,
    tree,
    wait_until_active,
)
from tests.live.mosquitto import Mosquitto
from tests.live.ports import free_port
from tests.sim.fleet import SimFleet
from tests.sim.signed import command_for
from tests.sim.switches import switch_to, tiny

# From SIGKILL to active again, of which systemd waits one by the unit.
LONGEST_ABSENCE_S = 3.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker that the container reaches, because it shares this machine's network."""
    mosquitto = Mosquitto(tmp_path_factory.mktemp("broker"))
    mosquitto.start()
    yield mosquitto
    mosquitto.stop()


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Device]:
    """A device on which the agent was installed."""
    with installed_device(tmp_path_factory.mktemp("built"), broker.port) as found:
        yield found


def tasks_max(device: Device) -> str:
    """Return how many tasks the running service may have, as its unit says it."""
    return f"TasksMax={device.container.unit(UNIT, 'TasksMax')}"


def test_the_service_is_up_as_its_own_user_and_reaches_the_broker(device: Device) -> None:
    container = device.container
    assert container.unit(UNIT, "ActiveState") == "active"
    assert container.run("stat", "-c", "%U", f"/proc/{device.pid()}").strip() == "fieldfare"
    assert container.run("stat", "-c", "%U %a", "/etc/fieldfare/identity.pem").strip() == "fieldfare 600"
    assert container.run("readlink", "/opt/fieldfare/current").startswith("versions/")
    until(device.is_linked)
    assert "video" in container.run("id", "--groups", "--name", "fieldfare").split()


def test_installing_again_leaves_every_file_and_the_environment_alone(device: Device) -> None:
    said = device.fieldfare("install", "--config", "/root/pi-1")
    assert [line for line in said.splitlines() if line.startswith(("wrote", "made"))] == []
    assert device.container.unit(UNIT, "ActiveState") == "active"


def test_status_tells_of_the_running_agent_in_a_table_and_in_json(device: Device) -> None:
    until(device.is_linked)
    shown = device.fieldfare("status")
    assert "active since" in shown
    assert re.search(r"^link +up", shown, re.MULTILINE)
    assert device.status()["is_running"] is True


def test_doctor_names_what_is_wrong_and_what_to_do(device: Device) -> None:
    # Given a device without any runtime
    found = {finding["check"]: finding for finding in json.loads(device.fieldfare("doctor", "--json", expected=1))}
    # Then that is what fails, with advice, while the link and the certificate are as they should be
    assert [name for name, finding in found.items() if finding["verdict"] == "fail"] == ["runtimes"]
    assert "fieldfare[litert]" in found["runtimes"]["advice"]
    assert found["link"]["verdict"] == "ok"
    assert found["certificate"]["text"].startswith("good until")


def test_a_killed_agent_is_back_within_three_seconds(device: Device, tell: Callable[[str], None]) -> None:
    assert device.container.unit(UNIT, "RestartUSec") == "1s"
    # The machine that tests run on may be busy: the device goes first, and one of three must show it.
    took_s: list[float] = []
    with device.container.first_in_line():
        while not took_s or (min(took_s) > LONGEST_ABSENCE_S and len(took_s) < 3):
            before = device.pid()
            device.container.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT)
            wait_until_active(device, before)
            took_s.append(absence_s(device))
    tell(f"a killed agent was back after {min(took_s):.1f} s (at most {LONGEST_ABSENCE_S:g} s)")
    assert min(took_s) <= LONGEST_ABSENCE_S, took_s


def test_an_agent_that_stands_still_is_ended_by_the_watchdog_and_started_again(device: Device) -> None:
    with fast_watchdog(device):
        before = device.pid()
        device.container.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", UNIT)
        wait_until_active(device, before)


def test_an_agent_of_which_one_loop_hangs_is_ended_by_the_watchdog_although_the_others_turn(device: Device) -> None:
    with fast_watchdog(device) as container:
        # Given a place to write to that never answers
        before = device.pid()
        container.run("mkfifo", "--mode=666", "/run/fieldfare/.status.json.new")
        # Then systemd ends the agent, because it asked nobody to be fed
        wait_until_active(device, before)
        assert "no progress: status" in container.run("journalctl", "--unit", UNIT, "--no-pager", "--lines=50")
        container.run("rm", "-f", "/run/fieldfare/.status.json.new")
        # Who is stuck in there already cannot leave in good order.
        container.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT, expected=None)


def test_the_limits_are_real(device: Device) -> None:
    container = device.container
    assert int(container.unit(UNIT, "MemoryCurrent")) > 1 << 20
    group = container.unit(UNIT, "ControlGroup")
    before = device.pid()
    container.run("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=150M", "TasksMax=100")
    # Given a process of the service's control groups, when it takes more than they may, then it is killed, and the agent is not
    folders = " ".join(f"/sys/fs/cgroup{hierarchy}{group}" for hierarchy in ("/memory", "/pids", ""))
    join = f"for folder in {folders}; do echo $$ > $folder/cgroup.procs; done 2>/dev/null; "
    container.run("sh", "-c", join + "exec python3 -c 'x = bytearray(400 << 20)'", expected=-signal.SIGKILL)
    # When it starts more than they may, then it cannot
    many = "import threading as t; e = t.Event(); [t.Thread(target=e.wait, daemon=True).start() for _ in range(120)]"
    assert "can't start new thread" in container.run("sh", "-c", join + f'exec python3 -c "{many}"', expected=1)
    assert device.pid() == before
    container.run("systemctl", "revert", UNIT)


def test_it_can_write_to_its_state_and_nowhere_else(device: Device) -> None:
    container = device.container
    number = container.run("id", "--user", "fieldfare").strip()
    inside = ("nsenter", "--target", device.pid(), "--mount", "--", "setpriv", f"--reuid={number}", f"--regid={number}", "--init-groups")
    writable = set(container.run(*inside, "python3", "-c", WRITABLE).split())
    # Beside its own folders only memory: /tmp is its own too, and goes with it.
    assert writable == {STATE, "/run/fieldfare", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"}
    as_root = ("nsenter", "--target", device.pid(), "--mount", "--", "sh", "-c")
    assert container.run(*as_root, "touch /etc/x /usr/x /opt/fieldfare/x", expected=1).count("Read-only file system") == 3
    assert container.run(*as_root, "ls -A /root").strip() == ""


def test_a_version_that_becomes_ready_and_reaches_the_broker_takes_over(device: Device) -> None:
    until(device.is_linked)
    before = device.pid()
    assert tasks_max(device) == TASKS
    said = device.fieldfare("upgrade", device.better, "--index", WHEELS)
    assert "it must reach the broker too" in said
    # With the unit that it brings, and nothing else is touched that does not differ
    assert "renewed /etc/systemd/system/fieldfare-agent.service" in said
    assert said.count("renewed") == 1
    assert tasks_max(device) == BETTER_TASKS
    assert device.pid() != before
    until(device.is_linked)
    assert str(device.status()["current"]).startswith("9.0.0-")
    assert device.status()["good"] == device.status()["current"]


def test_a_version_that_never_becomes_ready_is_taken_back(device: Device) -> None:
    good = str(device.status()["current"])
    make_mute(device, good)
    said = device.fieldfare("upgrade", device.mute, "--index", WHEELS, "--deadline", "4", expected=1)
    assert f"version {good} serves again" in said
    assert device.status()["current"] == good
    assert device.container.unit(UNIT, "ActiveState") == "active"
    assert tasks_max(device) == BETTER_TASKS
    until(device.is_linked)


def test_state_survives_a_reboot_and_an_upgrade_that_was_cut_off_by_it_is_undone(device: Device) -> None:
    # Given state, a journal, and a new version on trial that is not ready yet
    container = device.container
    container.run("mkdir", "--parents", "/var/log/journal")
    container.run("journalctl", "--flush")
    good = device.status()["current"]
    identity = container.run("sha256sum", f"{STATE}/api.token", "/etc/fieldfare/identity.pem", expected=None)
    # Led by a process of that machine: what only entered it would be stopped by its shutdown, and keep it waiting.
    container.run("systemd-run", "--unit=upgrade", FIELDFARE, "agent", "upgrade", device.mute, "--index", WHEELS, "--deadline", "300")
    until(lambda: container.unit(UNIT, "ActiveState") == "activating")
    assert device.status()["current"] != good
    assert tasks_max(device) == MUTE_TASKS
    # When the machine goes down
    container.power_off()
    container.boot()
    # Then the version that was good serves again, on the state that was there
    until(lambda: container.unit(UNIT, "ActiveState") == "active")
    assert device.status()["current"] == good
    assert container.run("sha256sum", f"{STATE}/api.token", "/etc/fieldfare/identity.pem", expected=None) == identity
    said = container.run("journalctl", "--unit", UNIT, "--no-pager")
    assert "an upgrade was cut off: back to version" in said
    assert "with its unit" in said
    assert tasks_max(device) == BETTER_TASKS
    assert container.run("ls", "/opt/fieldfare").split() == ["current", "good", "upgrade.lock", "versions"]
    assert container.run("journalctl", "--list-boots", "--no-pager").count("\n") >= 2
    until(device.is_linked)


def test_a_release_is_proved_and_served_and_timed_under_all_that_the_unit_forbids(device: Device, fleet: SimFleet, tmp_path: Path) -> None:
    with able_to_serve(device, fleet.repository.root, free_port()):
        # When a release is wished for, then a worker proves it and serves it
        release = tiny(tmp_path, 1)
        switch_to(fleet, "pi-1", release)
        until(lambda: "serving" in device.fieldfare("status"))
        # And whatever runs beside it for a command can be started too
        asked = command_for("pi-1", GoldenOrder())
        fleet.command(asked)
        found = fleet.wait_for(CommandResult, "pi-1", lambda result: result.command == asked.id and result.state != "running")
        assert (found.state, found.reason) == ("ok", "")


def test_status_of_a_stopped_agent_is_what_it_left(device: Device) -> None:
    device.container.run("systemctl", "stop", UNIT)
    shown = device.fieldfare("status", expected=1)
    assert "inactive" in shown
    assert "stopped" in shown
    assert "last contact" in shown


def test_uninstalling_leaves_nothing_but_what_it_was_told_and_learned_and_purging_not_even_that(device: Device) -> None:
    # When it is uninstalled, then configuration and state are there still, closed to everybody
    device.fieldfare("uninstall")
    kept = {path for path in tree(device.container) ^ device.before if not path.startswith(("/etc/fieldfare", STATE))}
    assert kept == set()
    assert device.container.run("stat", "-c", "%U %a", "/etc/fieldfare", STATE).split() == ["root", "700", "root", "700"]
    assert device.container.run("getent", "passwd", "fieldfare", expected=2) == ""
    # When it is purged, then not even that
    first = ("env", f"PYTHONPATH={device.wheel}", "PYTHONDONTWRITEBYTECODE=1", f"{FIRST}/bin/python", "-m", "cli")
    device.container.run(*first, "agent", "uninstall", "--purge")
    assert tree(device.container) == device.before
