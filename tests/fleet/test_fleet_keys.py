"""Offline keys as their holders use them: commands, a real server that holds none of them, and a device on its real broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.core.verdict import Verdict, Verified
from contracts.topics import TRUST, of_device, parse_trust_file
from contracts.trust import MAX_TRUST_FILE_BYTES, DirectorKeys
from tests.fleet.broker_client import HOST, Login
from tests.fleet.bundles import make_bundle
from tests.fleet.server import ROOT, FleetProcess, environment, fieldfare
from tests.sim.device import SimDevice
from tests.sim.judge import Judge

PATIENCE_S = 120.0
ONLINE = {"snapshot.pem", "timestamp.pem", "director.pem"}
# Keys of TLS, which sign nothing that a device runs.
TLS = {"ca.key", "server.pem", "fleet.pem", "viewer.pem"}


@dataclass
class Mailbox:
    """What the broker has retained for one device, judged by the real verifier."""

    login: Login
    judge: Judge
    trust: dict[str, bytes]
    desired: bytes = b""

    @contextmanager
    def open(self) -> Iterator[Mailbox]:
        """Listen."""
        client = self.login.client()
        client.on_message = lambda _c, _u, message: self._put(message.topic, bytes(message.payload))
        client.on_connect = self._subscribe
        client.connect(HOST, self.login.port)
        client.loop_start()
        try:
            yield self
        finally:
            client.disconnect()
            client.loop_stop()

    def wait_until_verified(self, generation: int) -> Verified:
        """Judge what came until it is a verified wish of at least a generation."""
        deadline_s = time.monotonic() + PATIENCE_S
        verdict: Verdict | None = None
        while time.monotonic() < deadline_s:
            if self.desired and "timestamp.json" in self.trust:
                verdict = self.judge.judge(dict(self.trust), self.desired)
                if isinstance(verdict, Verified) and verdict.desired.generation >= generation:
                    return verdict
            time.sleep(0.1)
        raise AssertionError(f"expected a verified wish of generation {generation}, found {verdict}")

    def _subscribe(self, client: Client, _user: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None) -> None:
        client.subscribe([(f"{TRUST}/#", 1), (of_device(self.login.username, "desired"), 1)])

    def _put(self, topic: str, payload: bytes) -> None:
        assert len(payload) <= MAX_TRUST_FILE_BYTES
        if name := parse_trust_file(topic):
            self.trust[name] = payload
        else:
            self.desired = payload


@dataclass(frozen=True)
class Holder:
    """A person with a ring of keys, at their own machine."""

    ring: Path
    fleet: FleetProcess

    def says(self, *arguments: str) -> str:
        """Run a command that must succeed."""
        done = self.fleet.run(*arguments, "--passphrase-file", str(self.ring / "passphrase"))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_refused(self, *arguments: str) -> str:
        """Run a command that must fail, and return why."""
        done = self.fleet.run(*arguments, "--passphrase-file", str(self.ring / "passphrase"))
        assert done.returncode == 2, done.stdout
        return done.stderr

    def key(self, name: str) -> str:
        """Return the path of a key."""
        return str(self.ring / f"{name}.pem")


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    """Two of three roots; the server has started from what they gave it."""
    folder = tmp_path
    (folder / "passphrase").write_text("a horse, a battery\n")
    ring = ("keys", "init", "--out", str(folder / "ring"), "--root-keys", "3", "--root-threshold", "2")
    done = fieldfare(folder / "home", *ring, "--passphrase-file", str(folder / "passphrase"))
    assert done.returncode == 0, done.stderr
    (folder / "ring" / "offline").rename(folder / "safe")
    (folder / "passphrase").rename(folder / "safe" / "passphrase")
    with FleetProcess(folder / "home", None, "--trust", str(folder / "ring" / "server")) as fleet:
        yield Holder(folder / "safe", fleet)


def private_keys_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()}


def with_keys(*files: str) -> tuple[str, ...]:
    return tuple(part for file in files for part in ("--key", file))


def test_keys_of_every_role_are_replaced_while_a_device_listens(holder: Holder, tmp_path: Path) -> None:
    # Given a server without offline keys, and a device of its fleet
    fleet, waits = holder.fleet, ("--pending", str(tmp_path / "change.json"))
    assert private_keys_in(fleet.folder) == ONLINE | TLS
    device = fleet.add_device("pi-1")
    judge = Judge(tmp_path / "state", (device / "root.json").read_bytes())
    with Mailbox(Login.of_device(fleet, device), judge, {}).open() as mailbox:
        mailbox.wait_until_verified(1)
        # When one of two roots signs another timestamp key, it waits for the second, and is not written over
        rotation = ("keys", "rotate", "timestamp", *with_keys(holder.key("root-1")), *waits)
        assert holder.says(*rotation).count("to be signed: root.json: 1 more of ") == 1
        assert "found a change that may still wait" in holder.is_refused(*rotation)
        signing = ("keys", "sign", waits[1], *with_keys(holder.key("root-3")))
        assert "the fleet follows root 2" in holder.says(*signing)
        # When roots, release keys and the director are replaced, in whose name every wish is signed again
        roots, new = with_keys(holder.key("root-1"), holder.key("root-2")), str(tmp_path / "new")
        assert "the fleet follows root 3" in holder.says("keys", "rotate", "root", *roots, "--out", f"{new}-root", *waits)
        roots = with_keys(f"{new}-root/root-1.pem", f"{new}-root/root-2.pem")
        said = holder.says("keys", "rotate", "targets", *roots, "--out", f"{new}-targets", *waits)
        assert "the fleet follows root 4 and targets 2" in said
        holder.says("keys", "rotate", "director", *with_keys(f"{new}-targets/targets-1.pem"), *waits)
        # Then the device has followed each step, and the old keys count for nothing
        mailbox.wait_until_verified(2)
        make_bundle(tmp_path / "one", release=1, size=1000)
        refused = holder.is_refused("release", "add", str(tmp_path / "one"), *with_keys(holder.key("targets-1")))
        assert "expected this fleet's release key, or one of the team of digits, found another" in refused
        refused = holder.is_refused("keys", "rotate", "snapshot", *with_keys(holder.key("root-1")), *waits)
        assert "expected a key whose signature this change lacks" in refused
    shown = fleet.run("keys", "show").stdout
    assert "root 4, valid until" in shown
    assert "2 of 3" in shown
    roles = {each["role"]: each for each in json.loads(fleet.run("keys", "show", "--json").stdout)}
    assert {"root", "targets", "snapshot", "timestamp", "director"} == roles.keys()
    assert (roles["root"]["threshold"], len(roles["root"]["keys"])) == (2, 3)
    listed = DirectorKeys.model_validate_json((fleet.folder / "trust" / "director.json").read_bytes())
    assert set(roles["director"]["keys"]) == listed.keys.keys()
    assert private_keys_in(fleet.folder) >= ONLINE
    assert private_keys_in(fleet.folder) - ONLINE - TLS <= {"snapshot.next.pem"}


def test_a_team_brings_its_own_model_to_devices_and_no_other(holder: Holder, tmp_path: Path) -> None:
    fleet, alice = holder.fleet, with_keys(str(tmp_path / "alice.pem"))
    device = fleet.add_device("pi-1")
    holder.says("keys", "make", alice[1])
    team = ("keys", "delegate", "faces", "--team-key", str(tmp_path / "alice.pub"), *with_keys(holder.key("targets-1")))
    team = (*team, "--pending", str(tmp_path / "change.json"))
    assert "model-faces: 1 of " in holder.says(*team)
    make_bundle(tmp_path / "faces", release=1, model="faces", size=1000)
    make_bundle(tmp_path / "digits", release=1, size=1000)
    with SimDevice(device) as late:
        holder.says("release", "add", str(tmp_path / "faces"), *alice)
        assert fleet.ask("rollout", "start", "faces", "--to", "all", "--wait")["state"] == "succeeded"
        assert late.problems == []
    assert "found another" in holder.is_refused("release", "add", str(tmp_path / "digits"), *alice)
    holder.says("release", "add", str(tmp_path / "digits"), *with_keys(holder.key("targets-1")))


def test_a_model_or_a_change_that_cannot_be_is_refused(holder: Holder, tmp_path: Path) -> None:
    assert "expected a change that waits, found no file" in holder.is_refused("keys", "sign", str(tmp_path / "none.json"))
    (tmp_path / "pending.json").write_text("{}")
    assert "root_before: expected" in holder.is_refused("keys", "sign", str(tmp_path / "pending.json"))
    waits = ("--pending", str(tmp_path / "change.json"))
    assert "model: expected" in holder.is_refused("keys", "delegate", "../x", *with_keys(holder.key("targets-1")), *waits)
    assert "--out is for new root" in holder.is_refused("keys", "rotate", "root", *with_keys(holder.key("root-1")), *waits)


def test_a_passphrase_comes_from_a_descriptor_or_a_terminal_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    def make(name: str, *options: str, passphrase: bytes = b"") -> subprocess.CompletedProcess[str]:
        end, start = os.pipe()
        os.write(start, passphrase)
        os.close(start)
        command = (sys.executable, "-m", "cli", "keys", "make", str(tmp_path / name), *options)
        options_of_fd = ("--passphrase-fd", str(end)) if passphrase else ()
        try:
            return subprocess.run(
                (*command, *options_of_fd), cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=180,
                stdin=subprocess.DEVNULL, pass_fds=(end,),
            )  # fmt: skip
        finally:
            os.close(end)

    assert make("a.pem", passphrase=b"long and secret\n").returncode == 0
    nobody = make("b.pem")
    assert nobody.returncode == 2
    assert "no terminal to ask at; give --passphrase-file or --passphrase-fd" in nobody.stderr
    assert "expected a passphrase of 1 to 1024 characters, found 0 bytes" in make("c.pem", passphrase=b"\n").stderr
    assert "found No such file or directory\n" in make("d.pem", "--passphrase-file", str(tmp_path / "none")).stderr
    assert not (tmp_path / "b.pem").exists()


def test_a_threshold_above_the_number_of_keys_is_refused_before_a_key_is_made(tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("x\n")
    ring = ("keys", "init", "--out", str(tmp_path / "ring"), "--root-threshold", "2", "--passphrase-file", str(tmp_path / "passphrase"))
    refused = fieldfare(tmp_path, *ring)
    assert refused.stderr == "error: root: expected a threshold of 1 to 1, the number of its keys, found 2\n"
    assert not (tmp_path / "ring").exists()
