"""`fieldfare watch`: listens to the broker, and shows the health of devices as they speak of it."""

from __future__ import annotations

import json
import os
import queue
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import paho.mqtt.client as mqtt
import typer
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contracts import codec, topics
from contracts.bundle import read_bounded
from contracts.errors import ContractError, MissingFileError
from contracts.messages import MAX_MESSAGE_BYTES, Birth, Health, WorkerHealth
from contracts.names import DeviceId
from fleet.errors import FleetError

FOLDER_VARIABLE = "FIELDFARE_DIR"
MAX_FILE_BYTES = 64 * 1024
CONNECT_S = 10.0
KEEPALIVE_S = 15
REFRESH_S = 0.5
# What may wait between the network and the terminal, and how many devices are remembered; more is counted and dropped.
MAX_WAITING = 10_000
MAX_DEVICES = 5_000
MESSAGES: dict[str, type[Birth] | type[Health]] = {"birth": Birth, "health": Health}


class BrokerUnreachableError(FleetError):
    """The broker does not let us listen."""

    exit_status = 3

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"broker {address}: expected a connection, found {reason}; start the server with `fieldfare fleet up`")


class UnknownBrokerError(FleetError):
    """Nothing says where the broker is."""

    exit_status = 3

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: expected a running server's connection file that names its broker, found none; "
            "run this on the server's machine after `fieldfare fleet up`, or give its folder with --dir"
        )


@dataclass(frozen=True)
class BrokerConnection:
    """Where the broker is, and who may listen."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)


class BrokerPart(BaseModel, frozen=True):
    """The broker in connection.json."""

    host: str
    port: int
    username: str
    password: str


class ConnectionFile(BaseModel, frozen=True):
    """What this command needs of connection.json."""

    broker: BrokerPart | None = None


@dataclass(frozen=True)
class Heard:
    """One message from a device."""

    device: str
    message: Birth | Health
    at: datetime


@dataclass(frozen=True)
class Seen:
    """The newest words of one device."""

    at: datetime
    birth: Birth | None = None
    health: Health | None = None


class Listener:
    """A subscription to births and health, whose messages wait in a bounded queue."""

    def __init__(self, connection: BrokerConnection, devices: Sequence[str]) -> None:
        """Nothing is opened yet; without names it is about every device."""
        self._connection = connection
        names = [(device, leaf) for device in devices for leaf in MESSAGES]
        filters = [topics.of_device(*name) for name in names] or [topics.of_every_device(leaf) for leaf in MESSAGES]
        self._filters = [(filter_, 0) for filter_ in filters]
        self._waiting: queue.Queue[Heard] = queue.Queue(MAX_WAITING)
        self._answer: queue.Queue[str] = queue.Queue(1)
        self.is_up = False
        # Messages that were no health or birth, and those that came faster than they could be shown.
        self.unreadable = 0
        self.dropped = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(connection.username, connection.password)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    @contextmanager
    def open(self) -> Iterator[None]:
        """Connect, and again whenever the link is lost; raise BrokerUnreachableError if it never was."""
        address = f"{self._connection.host}:{self._connection.port}"
        try:
            self._client.connect(self._connection.host, self._connection.port, keepalive=KEEPALIVE_S)
        except OSError as error:
            raise BrokerUnreachableError(address, error.strerror or str(error)) from error
        self._client.loop_start()
        try:
            if refusal := self._first_answer():
                raise BrokerUnreachableError(address, refusal)
            yield
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def take(self, wait_s: float) -> Iterator[Heard]:
        """Yield what waits, after waiting for a first message for at most `wait_s`."""
        try:
            yield self._waiting.get(timeout=wait_s)
            for _ in range(self._waiting.qsize()):
                yield self._waiting.get_nowait()
        except queue.Empty:
            return

    def _first_answer(self) -> str:
        try:
            return self._answer.get(timeout=CONNECT_S)
        except queue.Empty:
            return f"no answer within {CONNECT_S:g} s"

    def _on_connect(self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None) -> None:
        self.is_up = not reason.is_failure
        if self.is_up:
            client.subscribe(self._filters)
        if self._answer.empty():
            self._answer.put_nowait(f"the refusal “{reason}”" if reason.is_failure else "")

    def _on_disconnect(self, *_facts: object) -> None:
        self.is_up = False

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        heard = read_message(message.topic, bytes(message.payload), is_retained=message.retain)
        if heard is None:
            self.unreadable += 1
            return
        try:
            self._waiting.put_nowait(heard)
        except queue.Full:
            self.dropped += 1


def read_message(topic: str, raw: bytes, *, is_retained: bool) -> Heard | None:
    """Return a birth or health message; None for anything that is not what the contract says."""
    uplink = topics.parse_uplink(topic)
    if uplink is None or uplink.leaf not in MESSAGES:
        return None
    try:
        message = codec.decode(MESSAGES[uplink.leaf], raw, name=topic, max_bytes=MAX_MESSAGE_BYTES)
    except ContractError:
        return None
    now = datetime.now(timezone.utc)
    # A retained word was spoken long ago; only the device knows when.
    return Heard(uplink.device, message, min(now, message.sent_at) if is_retained else now)


def watch(
    devices: Annotated[list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Devices to watch; without any, all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each message.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="End after this many health messages.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", envvar=FOLDER_VARIABLE, show_default="~/.local/share/fieldfare", help="The server's folder.")
    ] = None,
) -> None:
    """Show live health over MQTT in the terminal; Ctrl-C ends."""
    listener = Listener(find_broker(folder), check_names(devices or []))
    try:
        with listener.open():
            _print_lines(listener, count) if as_json else _show_table(listener, count)
    except KeyboardInterrupt:
        pass
    if listener.unreadable or listener.dropped:
        typer.echo(f"{listener.unreadable} messages could not be read, {listener.dropped} came too fast", err=True)


def find_broker(folder: Path | None) -> BrokerConnection:
    """Return the broker of the server that keeps its files in `folder`; raise UnknownBrokerError."""
    chosen = folder or Path(os.environ.get(FOLDER_VARIABLE) or Path.home() / ".local" / "share" / "fieldfare")
    path = chosen / "connection.json"
    try:
        raw = read_bounded(path, MAX_FILE_BYTES)
    except MissingFileError as error:
        raise UnknownBrokerError(str(path)) from error
    broker = codec.decode(ConnectionFile, raw, name=str(path), max_bytes=MAX_FILE_BYTES).broker
    if broker is None:
        raise UnknownBrokerError(str(path))
    return BrokerConnection(broker.host, broker.port, broker.username, broker.password)


def check_names(devices: Iterable[str]) -> list[str]:
    """Return names that may stand in a topic; raise InvalidDocumentError for the first that may not."""
    adapter: TypeAdapter[str] = TypeAdapter(DeviceId)
    try:
        return [adapter.validate_python(device) for device in devices]
    except ValidationError as error:
        raise codec.invalid_document("DEVICE", error) from error


def _print_lines(listener: Listener, count: int | None) -> None:
    health = 0
    while count is None or health < count:
        for heard in listener.take(REFRESH_S):
            leaf = "health" if isinstance(heard.message, Health) else "birth"
            typer.echo(json.dumps({"device": heard.device, "leaf": leaf, "message": heard.message.model_dump(mode="json")}))
            health += leaf == "health"
            if health == count:
                return


def _show_table(listener: Listener, count: int | None) -> None:
    seen: dict[str, Seen] = {}
    health, drawn = 0, time.monotonic()
    with Live(draw(seen, is_up=True), console=Console(), auto_refresh=False) as live:
        while count is None or health < count:
            for heard in listener.take(REFRESH_S):
                note(seen, heard)
                health += isinstance(heard.message, Health)
            if time.monotonic() - drawn >= REFRESH_S:
                drawn = time.monotonic()
                live.update(draw(seen, is_up=listener.is_up), refresh=True)
        live.update(draw(seen, is_up=listener.is_up), refresh=True)


def note(seen: dict[str, Seen], heard: Heard) -> None:
    """Keep a message as the newest of its kind."""
    before = seen.get(heard.device)
    if before is None and len(seen) >= MAX_DEVICES:
        return
    now = before or Seen(heard.at)
    if isinstance(heard.message, Health):
        seen[heard.device] = replace(now, health=heard.message, at=max(now.at, heard.at))
    else:
        seen[heard.device] = replace(now, birth=heard.message, at=max(now.at, heard.at))


def draw(seen: dict[str, Seen], *, is_up: bool) -> Table:
    """Return the table of all devices."""
    title = f"{len(seen)} devices" if is_up else "connection to the broker lost; trying again"
    table = Table(title=title, title_justify="left", title_style="" if is_up else "yellow", box=None, header_style="bold", pad_edge=False)
    for name in ("DEVICE", "ONLINE", "CPU", "MEMORY", "DISK FREE", "TEMP", "THROTTLED", "WORKERS", "LAST WORD"):
        table.add_column(
            name, justify="right" if name in ("CPU", "MEMORY", "DISK FREE", "TEMP", "LAST WORD") else "left", no_wrap=name == "DEVICE"
        )
    now = datetime.now(timezone.utc)
    for device, words in sorted(seen.items()):
        table.add_row(device, _online(words.birth), *_health_cells(words.health), _age((now - words.at).total_seconds()))
    return table


def _online(birth: Birth | None) -> Text:
    if birth is None:
        return Text("–")
    return Text("● yes", style="green") if birth.online else Text("○ no", style="red")


def _health_cells(health: Health | None) -> Iterator[Text]:
    if health is None:
        yield from (Text("–") for _ in range(6))
        return
    yield Text(f"{health.cpu_percent:.0f} %")
    yield Text(f"{100 * health.memory_used_bytes / max(1, health.memory_total_bytes):.0f} %")
    yield Text(f"{health.disk_free_bytes / 1e9:.1f} GB")
    yield Text("–" if health.temperature_c is None else f"{health.temperature_c:.0f} °C")
    yield {None: Text("–"), False: Text("no"), True: Text("yes", style="yellow")}[health.is_throttled]
    yield Text("\n").join(_worker(model, worker) for model, worker in sorted(health.workers.items())) or Text("none")


def _worker(model: str, worker: WorkerHealth) -> Text:
    is_fallback = bool(worker.provider and worker.preferred_provider and worker.provider != worker.preferred_provider)
    provider = f" on {worker.provider}" if worker.provider else ""
    fallback = f", not {worker.preferred_provider}" if is_fallback else ""
    return Text(f"{model} {worker.state}{provider}{fallback}", style="yellow" if is_fallback or worker.state != "serving" else "")


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
