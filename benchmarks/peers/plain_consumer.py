"""A consumer as it is usually written: paho, pydantic and SQLite; it commits in batches and acknowledges what it committed."""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
import threading
import time
from pathlib import Path

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.messages import InferenceWindow
from fleet.south.mqtt import Login

BATCH_MESSAGES = 500
RECEIVE_MAXIMUM = 4 * BATCH_MESSAGES
COLUMNS = "device, session, sequence, at, model, release, window_s, requests, errors, p50_ms, p95_ms, classes, provider, sha256, latencies"


class Consumer:
    """One client, one table."""

    def __init__(self, path: str, messages: int) -> None:
        """Open the table."""
        self.database = sqlite3.connect(path, check_same_thread=False)
        self.database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            f"CREATE TABLE windows ({COLUMNS}, PRIMARY KEY (device, session, sequence));"
            "CREATE INDEX by_device ON windows (device, at); CREATE INDEX by_time ON windows (at);"
        )
        self.rows: list[tuple[object, ...]] = []
        self.unacknowledged: list[int] = []
        self.left = messages
        self.is_subscribed, self.is_done = threading.Event(), threading.Event()

    def on_connect(self, client: Client, _user: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None) -> None:
        client.subscribe("ff/v1/+/inference", qos=1)
        self.is_subscribed.set()

    def on_message(self, client: Client, _user: object, message: MQTTMessage) -> None:
        window = InferenceWindow.model_validate_json(message.payload)
        latency, release = window.latency_ms, window.release
        self.rows.append(
            (
                *(message.topic.split("/")[2], window.session, window.sequence, window.sent_at.timestamp(), release.model, release.release),
                *(window.window_s, window.requests, window.errors, latency.p50, latency.p95, json.dumps(window.classes), window.provider),
                *(release.manifest_sha256, window.latencies.model_dump_json() if window.latencies else None),
            )
        )
        self.unacknowledged.append(message.mid)
        self.left -= 1
        if len(self.rows) >= BATCH_MESSAGES or self.left <= 0:
            self.commit(client)

    def commit(self, client: Client) -> None:
        marks = ", ".join("?" * len(self.rows[0]))
        with self.database:
            self.database.executemany(f"INSERT OR IGNORE INTO windows VALUES ({marks})", self.rows)
        for mid in self.unacknowledged:
            client.ack(mid, 1)
        self.rows, self.unacknowledged = [], []
        if self.left <= 0:
            self.is_done.set()


def main() -> None:
    """Take in so many messages, and print what it came to."""
    order = json.loads(sys.stdin.readline())
    consumer = Consumer(order["database"], order["messages"])
    login = Login("127.0.0.1", order["port"], Path(order["authority"]), Path(order["own"]))
    client = Client(CallbackAPIVersion.VERSION2, "plain", protocol=MQTTv5, manual_ack=True)
    client.tls_set_context(login.context())
    client.on_connect, client.on_message = consumer.on_connect, consumer.on_message
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left this one untyped
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    client.connect(login.host, login.port, properties=properties)
    client.loop_start()
    assert consumer.is_subscribed.wait(10)
    time.sleep(0.5)  # the broker has the subscription by then
    print("ready", flush=True)
    sys.stdin.readline()
    began_cpu_s = time.process_time()
    assert consumer.is_done.wait(240)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ended_s": time.time(), "cpu_s": time.process_time() - began_cpu_s, "peak_bytes": peak_bytes}), flush=True)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
