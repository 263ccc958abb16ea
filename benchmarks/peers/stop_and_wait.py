"""The peer of a credit window: a client of the same fleet that asks for one chunk, and for the next when it came."""

from __future__ import annotations

import json
import queue
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from contracts import codec
from contracts.chunks import Bitmap
from contracts.manifest import FileEntry
from contracts.messages import Want
from contracts.topics import of_chunks, of_device, of_own_chunks

ANSWER_S = 30.0


def main() -> None:
    """Read an order from the first line of input, wait for the second, download, print when it began and ended."""
    order = json.loads(sys.stdin.readline())
    (device,), (file,) = order["devices"], order["entries"]
    entry = FileEntry.model_validate_json(Path(file).read_text())
    chunks: queue.Queue[bytes] = queue.Queue()
    client = Client(CallbackAPIVersion.VERSION2, client_id=device, protocol=MQTTv5)
    client.tls_set(order["authority"], order["identities"][device])
    client.on_message = lambda _client, _user, message: chunks.put(bytes(message.payload))
    client.connect(order["host"], order["port"])
    client.loop_start()
    client.subscribe([(of_chunks(entry.sha256), 1), (of_own_chunks(device, entry.sha256), 1)])
    print("ready", flush=True)
    sys.stdin.readline()
    began_s = time.monotonic()
    for index in range(order["chunks"]):
        now = datetime.now(timezone.utc)
        bitmap = Bitmap.of(len(entry.chunks), (index,)).to_hex()
        stamp = {"session": "f" * 16, "sequence": index, "sent_at": now, "round": 1}
        want = Want(**stamp, digest=entry.sha256, bytes=entry.bytes, bitmap=bitmap, window=1)
        client.publish(of_device(device, "want"), codec.encode(want), qos=0)
        assert codec.sha256_of(chunks.get(timeout=ANSWER_S)) == entry.chunks[index]
    print(json.dumps({"began_s": began_s, "ended_s": time.monotonic()}), flush=True)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
