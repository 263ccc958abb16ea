"""The agent on an emulated 64-bit Arm: it enrols, takes a release and serves it; and a whole machine boots with it as its service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.device.material import ROOT
from tests.fleet.server import FleetProcess, wait_for
from tests.live.arm64 import EmulatedDebian, plain_debian
from tests.live.arm64_agent import FIRST
from tests.live.ports import free_port
from tests.live.virtual_machine import HOST, booted, need_machine, write_disk, write_initial

pytestmark = [pytest.mark.device, pytest.mark.timeout(3600)]
DEVICE = "pi-1"
FIELDFARE = f"{FIRST}/bin/fieldfare"
CONFIG = "/root/pi-1/agent.toml"
# Emulation is ten to twenty times slower than the processor below it, and may have to share that.
ONLINE_S, COMMIT_S, BOOT_S = 300.0, 900.0, 900.0
LOOK = """[Unit]
After=fieldfare-agent.service
[Service]
Type=oneshot
StandardOutput=tty
TTYPath=/dev/ttyAMA0
ExecStart=/bin/sh -c 'echo "looked: $(uname -m) $(systemctl show fieldfare-agent --property=ActiveState,NRestarts,MemoryCurrent | xargs)"'
[Install]
WantedBy=multi-user.target
"""
# A processor in software that is shared, too, may take longer than systemd waits for a real one.
PATIENCE = "[Service]\nTimeoutStartSec=900\n"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetProcess]:
    """A fleet on this machine, which goes by the name that a virtual machine calls its host too."""
    with FleetProcess(tmp_path / "fleet", None, "--public-name", HOST) as running:
        yield running


@contextmanager
def running_agent(device: EmulatedDebian, log: Path) -> Iterator[Callable[[], None]]:
    """Run the control process in the device's own system, without systemd; yields what fails once it has ended by itself."""
    with log.open("wb") as stream:
        process = subprocess.Popen(device.command(FIELDFARE, "agent", "run", "--config", CONFIG), stdout=stream, stderr=stream)

        def look() -> None:
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]

        try:
            yield look
            psutil.Process(process.pid).children()[0].children()[0].terminate()
            assert process.wait(60) == 0, log.read_text(errors="replace")[-2000:]
        finally:
            process.kill()
            process.wait(30)


def test_an_agent_on_arm_enrols_takes_a_release_and_serves_it(
    device: EmulatedDebian, fleet: FleetProcess, material: Path, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    # Given a device that makes its key and gets its certificate by itself
    began_s = time.monotonic()
    device.run(FIELDFARE, "agent", "enroll", "--server", fleet.tls_url, f"--token={fleet.token(DEVICE)}", "--out", "/root/pi-1")
    enrolled_s = time.monotonic() - began_s
    # It shares this machine's network.
    config = device.get(CONFIG).decode().replace(HOST, "127.0.0.1").replace("port = 8600", f"port = {free_port()}")
    device.put(CONFIG, config.replace("probation_s = 30.0", "probation_s = 5.0").encode())
    # When its control process runs, and a release is rolled out to it
    began_s = time.monotonic()
    with running_agent(device, tmp_path / "agent.log") as look:
        wait_for(lambda: is_online(fleet, look), seconds=ONLINE_S)
        online_s = time.monotonic() - began_s
        fleet.ask("release", "add", str(material / "bundles" / "digits"))
        assert fleet.run("rollout", "start", "digits", "--to", "all").returncode == 0
        began_s = time.monotonic()
        shown = wait_for(lambda: committed(fleet, look), seconds=COMMIT_S)
        committed_s = time.monotonic() - began_s
    # Then it proved the release on its own processor, committed it, and went in peace
    assert shown["birth"]["machine"]["architecture"] == "aarch64"
    tell(
        f"agent under emulation: enrolled in {enrolled_s:.0f} s, online after {online_s:.0f} s, release committed after {committed_s:.0f} s"
    )


def is_online(fleet: FleetProcess, look: Callable[[], None]) -> bool:
    """Ask the fleet whether it hears its device, which `look` would miss."""
    look()
    with fleet.api as api:
        return bool(api.get("overview").json()["online"] == 1)


def committed(fleet: FleetProcess, look: Callable[[], None]) -> dict[str, dict[str, dict[str, str]]] | None:
    """Return what is known of the device once its model's release is committed; fail when it is refused."""
    look()
    time.sleep(1)
    shown: dict[str, dict[str, dict[str, str]]] = fleet.ask("device", "show", DEVICE)
    phase = shown["models"]["digits"]["phase"] if "digits" in shown["models"] else "none"
    assert phase not in {"rejected", "failed", "rolled_back"}, json.dumps(shown["models"])
    return shown if phase == "committed" else None


def test_a_machine_boots_with_the_agent_as_its_service(
    device: EmulatedDebian, fleet: FleetProcess, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    need_machine()
    # Given a disk with a Debian, and the agent installed into it as into any system image
    assert fleet.enroll(fleet.token(DEVICE), tmp_path / "pi-1").returncode == 0
    (tmp_path / "look.service").write_text(LOOK)
    install = f"{sys.executable} -m cli agent install --config {tmp_path}/pi-1 --root {{root}}"
    (tmp_path / "patience.conf").write_text(PATIENCE)
    units = "{root}/etc/systemd/system"
    patience = f"install -D {tmp_path}/patience.conf {units}/fieldfare-agent.service.d/patience.conf"
    look = f"{patience} && cp {tmp_path}/look.service {units}/ && systemctl --root={{root}} enable look.service"
    write_disk(tmp_path / "disk", device.trees, ["sh", "-c", f"cd {ROOT} && {install} && {look}"])
    write_initial(tmp_path / "initial", plain_debian())
    # When it boots
    began_s = time.monotonic()
    with booted(tmp_path / "disk", tmp_path / "initial", plain_debian()) as console:
        looked = console.wait_for(r"looked: (\w+) (\S+=.+)\n", BOOT_S)
        active_s = time.monotonic() - began_s
        # Then the service has said that it is ready, and reaches the fleet through its sandbox
        found = dict(re.findall(r"(\w+)=(\[not set\]|\S+)", looked[2]))  # a service that does not run has no memory
        assert (looked[1], found["ActiveState"], found["NRestarts"]) == ("aarch64", "active", "0"), console.text()[-4000:]
        wait_for(lambda: is_online(fleet, console.look), seconds=ONLINE_S)
        online_s, mib = time.monotonic() - began_s, int(found["MemoryCurrent"]) >> 20
        tell(f"virtual machine: service active after {active_s:.0f} s with {mib} MiB, online after {online_s:.0f} s")
