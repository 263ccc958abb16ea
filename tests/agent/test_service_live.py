"""The installed service under real systemd, in a container: it starts, is watched, and comes back."""

from __future__ import annotations

import site
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.authority import authority, identity_of
from tests.live.systemd import Container, booted

ROOT = Path(__file__).parents[2]
UNIT = "fieldfare-agent.service"
CONFIG = """
[device]
id = "pi-1"
hardware = "rpi5"
[broker]
host = "127.0.0.1"
port = 1
"""


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    """A Debian with this source tree and its dependencies under /opt, and the agent installed by its own command."""
    binds = {ROOT: "/opt/source", Path(site.getsitepackages()[0]): "/opt/packages"}
    with booted(binds) as container:
        if container.run("python3", "-c", "import sys; print(sys.version_info[:2])") != f"{sys.version_info[:2]}\n":
            pytest.skip("the container's Python is another one than ours, so it cannot use our packages")
        container.run("python3", "-m", "venv", "--without-pip", "/opt/fieldfare")
        script = "#!/opt/fieldfare/bin/python\nimport cli\ncli.main()\n"
        packages = "/opt/fieldfare/lib/python3.11/site-packages"
        for path, text in ((f"{packages}/here.pth", "/opt/source\n/opt/packages\n"), ("/opt/fieldfare/bin/fieldfare", script)):
            (container.root / path.lstrip("/")).write_text(text)
        container.run("chmod", "755", "/opt/fieldfare/bin/fieldfare")
        folder = container.root / "root" / "pi-1"
        folder.mkdir()
        (folder / "agent.toml").write_text(CONFIG)
        (folder / "root.json").write_text("{}")
        (folder / "ca.pem").write_text(authority().pem)
        (folder / "identity.pem").write_text(identity_of("pi-1"))
        container.run("/opt/fieldfare/bin/fieldfare", "agent", "install", "--config", "/root/pi-1")
        yield container


def test_the_service_is_up_as_its_own_user_without_a_broker(container: Container) -> None:
    assert container.unit(UNIT, "ActiveState") == "active"
    pid = container.unit(UNIT, "MainPID")
    assert container.run("stat", "-c", "%U", f"/proc/{pid}").strip() == "fieldfare"
    assert container.run("stat", "-c", "%U %a", "/etc/fieldfare/identity.pem").strip() == "fieldfare 600"
    assert container.run("stat", "-c", "%U", "/var/lib/fieldfare/releases").strip() == "fieldfare"


def test_installing_again_leaves_every_file_alone(container: Container) -> None:
    said = container.run("/opt/fieldfare/bin/fieldfare", "agent", "install", "--config", "/root/pi-1")
    assert [line for line in said.splitlines() if line.startswith("wrote")] == []
    assert container.unit(UNIT, "ActiveState") == "active"


def test_a_killed_agent_is_started_again(container: Container) -> None:
    before = container.unit(UNIT, "MainPID")
    container.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT)
    wait_until_active(container, before)


def test_a_hung_agent_is_ended_by_the_watchdog_and_started_again(container: Container) -> None:
    container.run("mkdir", "-p", f"/run/systemd/system/{UNIT}.d")
    container.run("sh", "-c", f"printf '[Service]\\nWatchdogSec=2\\n' > /run/systemd/system/{UNIT}.d/fast.conf")
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "restart", UNIT)
    before = container.unit(UNIT, "MainPID")
    container.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", UNIT)
    wait_until_active(container, before)
    assert "Watchdog timeout" in container.run("journalctl", "--unit", UNIT, "--no-pager")


def test_the_service_sees_a_read_only_system_no_homes_and_a_memory_limit(container: Container) -> None:
    inside = ("nsenter", "--target", container.unit(UNIT, "MainPID"), "--mount", "--", "sh", "-c")
    assert container.run(*inside, "touch /etc/x /usr/x", expected=1).count("Read-only file system") == 2
    assert container.run(*inside, "ls -A /root").strip() == ""
    assert int(container.unit(UNIT, "MemoryMax")) < 1 << 60


def wait_until_active(container: Container, before: str, *, timeout_s: float = 20) -> None:
    """Wait until another process than `before` is the service's."""
    end_s = time.monotonic() + timeout_s
    while container.unit(UNIT, "ActiveState") != "active" or container.unit(UNIT, "MainPID") == before:
        assert time.monotonic() < end_s, container.run("journalctl", "--unit", UNIT, "--no-pager", "--lines=30")
        time.sleep(0.1)
