"""`fieldfare watch` against a real mosquitto."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contracts import codec, topics
from contracts.errors import InvalidDocumentError
from contracts.messages import Birth, Health, Machine, WorkerHealth
from fleet.authority import Authority
from fleet.cli.watch import check_names, watch
from fleet.errors.client import BrokerUnknownError, BrokerUnreachableError, NotConnectedError
from tests.live.authority import authority, context_of, file_of
from tests.live.mosquitto import Mosquitto
from tests.live.ports import free_port

ROOT = Path(__file__).parents[2]
PROGRAM = "import typer; from fleet.cli.watch import watch; typer.run(watch)"
WAIT_S = 120
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
MACHINE = Machine(architecture="aarch64", system="Linux", python="3.11", cpu_count=4, memory_bytes=8 << 30, disk_bytes=32 << 30)
BIRTH = Birth(
    session="0123456789abcdef",
    sequence=0,
    sent_at=NOW,
    online=True,
    agent_version="0.1.0",
    hardware="rpi5",
    targets=("rpi5",),
    runtimes={},
    machine=MACHINE,
)
WORKER = WorkerHealth(state="serving", restarts=0, rss_bytes=1, provider="CPUExecutionProvider", preferred_provider="CUDAExecutionProvider")
HEALTH = Health(
    session="0123456789abcdef",
    sequence=1,
    sent_at=NOW,
    uptime_s=60,
    cpu_percent=37.4,
    memory_used_bytes=2 << 30,
    memory_total_bytes=8 << 30,
    disk_free_bytes=12_300_000_000,
    disk_total_bytes=32 << 30,
    temperature_c=51.6,
    is_throttled=True,
    workers={"birds": WORKER},
)


@pytest.fixture(scope="module")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A broker that asks for a certificate, and the connection file that a server would leave."""
    folder = tmp_path_factory.mktemp("watch")
    broker = Mosquitto(folder / "broker")
    broker.start()
    write_connection(folder, broker.port)
    yield folder
    broker.stop()


@pytest.fixture
def publisher(server_folder: Path) -> Iterator[mqtt.Client]:
    """A device's side of the broker, which forgets what the test before retained."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.tls_set_context(context_of(file_of("fleet")))
    client.connect("127.0.0.1", json.loads((server_folder / "connection.json").read_text())["broker"]["port"])
    client.loop_start()
    yield client
    for device in ("pi-1", "pi-2"):
        client.publish(topics.of_device(device, "birth"), b"", qos=1, retain=True).wait_for_publish(WAIT_S)
    client.disconnect()
    client.loop_stop()


def write_connection(folder: Path, port: int, identity: Path | None = None) -> None:
    files = {"authority": str(authority().certificate_file), "identity": str(identity or file_of("viewer"))}
    broker = {"host": "127.0.0.1", "port": port, **files}
    (folder / "connection.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "token": "t", "broker": broker}))


def publish(client: mqtt.Client, device: str, message: Birth | Health) -> None:
    leaf = "birth" if isinstance(message, Birth) else "health"
    published = client.publish(topics.of_device(device, leaf), codec.encode(message), qos=1, retain=leaf == "birth")
    published.wait_for_publish(WAIT_S)


def start(folder: Path, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    environment = {**os.environ, "FIELDFARE_DIR": str(folder), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, env=environment, text=True, stdout=stdout, stderr=subprocess.PIPE
    )


def read_line(process: subprocess.Popen[str]) -> dict[str, object]:
    """The command prints a retained birth once it listens; pytest's own limit bounds the wait."""
    assert process.stdout is not None
    line: dict[str, object] = json.loads(process.stdout.readline())
    return line


def test_each_message_is_a_line_of_json_until_the_count_is_reached(server_folder: Path, publisher: mqtt.Client) -> None:
    publish(publisher, "pi-1", BIRTH)
    process = start(server_folder, "--json", "--count", "1")
    assert read_line(process) == {"device": "pi-1", "leaf": "birth", "message": BIRTH.model_dump(mode="json")}

    publish(publisher, "pi-1", HEALTH)

    assert read_line(process) == {"device": "pi-1", "leaf": "health", "message": HEALTH.model_dump(mode="json")}
    _, complaints = process.communicate(timeout=WAIT_S)
    assert (process.returncode, complaints) == (0, "")


def test_only_the_named_devices_are_shown(server_folder: Path, publisher: mqtt.Client) -> None:
    publish(publisher, "pi-1", BIRTH)
    publish(publisher, "pi-2", BIRTH)
    process = start(server_folder, "pi-2", "--json", "--count", "1")
    assert read_line(process)["device"] == "pi-2"

    publish(publisher, "pi-1", HEALTH)
    publish(publisher, "pi-2", HEALTH)

    output, _ = process.communicate(timeout=WAIT_S)
    assert [json.loads(line)["device"] for line in output.splitlines()] == ["pi-2"]


def test_messages_that_break_the_contract_are_counted_and_skipped(server_folder: Path, publisher: mqtt.Client) -> None:
    publish(publisher, "pi-1", BIRTH)
    process = start(server_folder, "--json", "--count", "1")
    read_line(process)

    for topic, body in (("ff/v1/pi-1/health", b"{}"), ("ff/v1/Upper/health", codec.encode(HEALTH)), ("ff/v1/pi-1/birth", b"\xff")):
        publisher.publish(topic, body, qos=1).wait_for_publish(WAIT_S)
    publish(publisher, "pi-1", HEALTH)

    output, complaints = process.communicate(timeout=WAIT_S)
    assert (process.returncode, len(output.splitlines())) == (0, 1)
    assert complaints == "3 messages could not be read, 0 came too fast\n"


EXPECTED = ("● yes", "37 %", "25 %", "12.3 GB", "52 °C", "birds serving on CPUExecutionProvider, not CUDAExecutionProvider")


def test_the_table_on_a_terminal_says_how_each_device_is(server_folder: Path, publisher: mqtt.Client) -> None:
    publish(publisher, "pi-1", BIRTH)
    ours, theirs = os.openpty()
    process = start(server_folder, "--count", "1", stdout=theirs)
    os.close(theirs)
    drawn = b""
    # What it draws is read as it comes: a terminal holds little. Speak until the command has heard its one message.
    end_s = time.monotonic() + 3 * WAIT_S
    while True:
        assert time.monotonic() < end_s
        publish(publisher, "pi-1", HEALTH)
        if select.select([ours], [], [], 0.1)[0]:
            try:
                drawn += os.read(ours, 1 << 16)
            except OSError:  # the command has ended, and the terminal with it
                break
    os.close(ours)
    _, complaints = process.communicate(timeout=WAIT_S)
    assert (process.returncode, complaints) == (0, "")
    assert [part for part in EXPECTED if part not in drawn.decode()] == []


def test_into_a_pipe_each_change_is_a_line_at_once(server_folder: Path, publisher: mqtt.Client) -> None:
    publish(publisher, "pi-1", BIRTH)
    process = start(server_folder, "--count", "3")
    assert process.stdout is not None
    # Given a device that is known by its birth, and the line of that
    assert "pi-1  ● yes  –" in process.stdout.readline()
    # When it speaks of its health, then a line comes while the command goes on
    publish(publisher, "pi-1", HEALTH)
    line = process.stdout.readline()
    assert line.split("  ")[1] == "pi-1"
    assert [part for part in EXPECTED if part not in line] == []
    assert process.poll() is None
    # And what it says again is no news, but what is different is
    publish(publisher, "pi-1", HEALTH.model_copy(update={"sequence": 2}))
    publish(publisher, "pi-1", HEALTH.model_copy(update={"sequence": 3, "cpu_percent": 99.0}))
    output, complaints = process.communicate(timeout=WAIT_S)
    assert (process.returncode, complaints) == (0, "")
    (changed,) = output.splitlines()
    assert "99 %" in changed


def test_an_interrupt_ends_it_cleanly(server_folder: Path, publisher: mqtt.Client) -> None:
    publish(publisher, "pi-1", BIRTH)
    process = start(server_folder, "--json")
    read_line(process)

    process.send_signal(signal.SIGINT)

    assert process.communicate(timeout=WAIT_S) == ("", "")
    assert process.returncode == 0


def test_a_broker_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    write_connection(tmp_path, free_port())
    with pytest.raises(BrokerUnreachableError, match=r"Connection refused; start the server with `fieldfare fleet up`") as caught:
        watch(folder=tmp_path)
    assert caught.value.exit_status == 3


def test_a_broker_that_refuses_the_certificate_is_unreachable_too(server_folder: Path, tmp_path: Path) -> None:
    port = json.loads((server_folder / "connection.json").read_text())["broker"]["port"]
    stranger = Authority(tmp_path / "another", NOW)
    write_connection(tmp_path, port, stranger.own_client("viewer", NOW))
    with pytest.raises(BrokerUnreachableError) as caught:
        watch(folder=tmp_path)
    assert caught.value.exit_status == 3


def test_a_folder_without_a_server_is_told_apart_from_one_whose_broker_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(NotConnectedError) as no_server:
        watch(folder=tmp_path)
    (tmp_path / "connection.json").write_text('{"url": "http://127.0.0.1:1", "token": "t"}')
    with pytest.raises(BrokerUnknownError) as no_broker:
        watch(folder=tmp_path)
    assert (no_server.value.exit_status, no_broker.value.exit_status) == (3, 3)


@pytest.mark.parametrize("name", ["#", "+", "a/b", "Upper"])
def test_a_name_that_could_widen_the_subscription_is_refused(name: str) -> None:
    with pytest.raises(InvalidDocumentError, match="DEVICE"):
        check_names(["pi-1", name])
