"""Installing the agent as a service, into an empty system image; and the unit itself, by systemd's own judgement."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"

CONFIG = """
[device]
id = "pi-1"
hardware = "rpi5"
[broker]
host = "fleet.example"
port = 1883
"""

needs_systemd_tools = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd's tools are not installed")


def fieldfare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A device's folder, as the fleet hands it out."""
    folder = tmp_path / "pi-1"
    folder.mkdir()
    (folder / "agent.toml").write_text(CONFIG)
    (folder / "root.json").write_text("{}")
    (folder / "ca.pem").write_text("public\n")
    (folder / "identity.pem").write_text("secret\n")
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A system image with a version of fieldfare in /opt/fieldfare, and a camera's group."""
    image = tmp_path / "image"
    (image / "opt/fieldfare/versions/first/bin").mkdir(parents=True)
    (image / "opt/fieldfare/versions/first/bin/fieldfare").write_text("#!/bin/sh\n")
    (image / "etc").mkdir()
    (image / "etc/group").write_text("root:x:0:\nvideo:x:44:\n")
    (image / "usr/lib").mkdir(parents=True)
    return image


def test_a_dry_run_says_everything_and_writes_nothing(config: Path, image: Path) -> None:
    before = sorted(image.rglob("*"))
    done = fieldfare("agent", "install", "--config", config, "--root", image, "--prefix", "/opt/fieldfare", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would write /etc/fieldfare/identity.pem (0600 fieldfare:fieldfare)" in done.stdout
    assert "would write /etc/fieldfare/agent.toml (0640 root:fieldfare)" in done.stdout
    assert "enable fieldfare-agent.service" in done.stdout
    assert sorted(image.rglob("*")) == before


@needs_systemd_tools
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_installing_twice_changes_nothing_the_second_time(config: Path, image: Path) -> None:
    # Given an image, when the agent is installed into it
    arguments = ("agent", "install", "--config", config, "--root", image, "--prefix", "/opt/fieldfare")
    first = fieldfare(*arguments)
    assert first.returncode == 0, first.stderr
    # Then the secret is the agent's alone, the unit runs that installation, and it is enabled
    identity = image / "etc/fieldfare/identity.pem"
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600
    assert identity.stat().st_uid != 0
    unit = image / "etc/systemd/system/fieldfare-agent.service"
    assert "ExecStart=/opt/fieldfare/current/bin/fieldfare agent run" in unit.read_text()
    assert {str((image / "opt/fieldfare" / link).readlink()) for link in ("current", "good")} == {"versions/first"}
    # And he is in the group that opens cameras
    assert "fieldfare" in (image / "etc/group").read_text().split("video:x:44:")[1].splitlines()[0]
    assert (image / "etc/systemd/system/multi-user.target.wants/fieldfare-agent.service").is_symlink()
    # When it is installed again, then every file is as it was
    second = fieldfare(*arguments)
    assert [line for line in second.stdout.splitlines() if line.startswith("wrote")] == []


def test_an_installation_that_services_cannot_see_is_refused(config: Path, image: Path) -> None:
    shutil.move(image / "opt", image / "home")
    done = fieldfare("agent", "install", "--config", config, "--root", image, "--prefix", "/home/fieldfare", "--dry-run")
    assert done.returncode == 2
    assert "install it under /opt/fieldfare" in done.stderr


def test_an_image_without_a_version_is_refused_with_what_to_do(config: Path, image: Path) -> None:
    shutil.rmtree(image / "opt")
    done = fieldfare("agent", "install", "--config", config, "--root", image)
    assert done.returncode == 2
    assert "run in the image: python3 -m venv" in done.stderr


@pytest.mark.parametrize(("option", "value"), [("--prefix", "/opt/a b"), ("--prefix", "opt"), ("--user", "a;b"), ("--user", "")])
def test_what_would_break_the_unit_is_refused(config: Path, image: Path, option: str, value: str) -> None:
    done = fieldfare("agent", "install", "--config", config, "--root", image, "--dry-run", option, value)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_status_and_doctor_speak_of_a_device_whose_agent_never_ran(config: Path) -> None:
    shown = fieldfare("agent", "status", "--config", config)
    assert shown.returncode == 1
    assert "not installed" in shown.stdout
    found = fieldfare("agent", "doctor", "--config", config, "--json")
    assert found.returncode == 1
    verdicts = {finding["check"]: finding["verdict"] for finding in json.loads(found.stdout)}
    # The folder that it will make has room where it will be; a link and a certificate there are none
    assert (verdicts["disk"], verdicts["link"], verdicts["certificate"]) == ("ok", "fail", "fail")


@pytest.mark.parametrize(
    ("words", "expected"), [("fieldfare agent ", "upgrade"), ("fieldfare agent install --", "--index"), ("fieldfare agent st", "status")]
)
def test_the_shell_completes_the_agents_commands(words: str, expected: str) -> None:
    # As bash asks a Typer program.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "_FIELDFARE_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    program = "import cli; cli.main()"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert expected in done.stdout.split()


def test_a_wrong_field_of_the_configuration_is_named_with_its_file(config: Path) -> None:
    (config / "agent.toml").write_text(CONFIG.replace("port = 1883", "port = 0"))
    done = fieldfare("agent", "run", "--config", config / "agent.toml")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {config / 'agent.toml'}: broker.port: ")
    assert "found 0" in done.stderr


def test_a_missing_identity_is_named_with_its_place(config: Path) -> None:
    (config / "identity.pem").unlink()
    done = fieldfare("agent", "run", "--config", config / "agent.toml")
    assert done.returncode == 2
    assert "broker.identity_file" in done.stderr


@needs_systemd_tools
def test_the_unit_is_valid_and_hardened(tmp_path: Path) -> None:
    unit = tmp_path / "fieldfare-agent.service"
    for program in ("current/bin/fieldfare", "good/bin/python"):
        (tmp_path / program).parent.mkdir(parents=True)
        (tmp_path / program).symlink_to("/usr/bin/true")
    text = (UNITS / "fieldfare-agent.service").read_text()
    unit.write_text(text.replace("@PREFIX@", str(tmp_path)).replace("@USER@", "fieldfare"))
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=13", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-300:]
