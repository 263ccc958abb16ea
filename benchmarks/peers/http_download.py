"""The peer of a download by chunks: plain downloads over HTTPS, which do what a device must: check every 256 KiB, write, sync."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contracts.chunks import CHUNK_BYTES
from contracts.codec import sha256_of
from contracts.manifest import FileEntry


def main() -> None:
    """Read an order from the first line of input, wait for the second, download, print when it began and ended."""
    order = json.loads(sys.stdin.readline())
    entries = [FileEntry.model_validate_json(Path(file).read_text()) for file in order["entries"]]
    print("ready", flush=True)
    sys.stdin.readline()
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    context = ssl.create_default_context(cafile=order["authority"])
    with ThreadPoolExecutor(len(entries)) as pool:
        connections = [http.client.HTTPSConnection("127.0.0.1", order["port"], timeout=60, context=context) for _ in entries]
        targets = [Path(order["folder"]) / f"{number}" for number in range(len(entries))]
        list(pool.map(download, connections, entries, targets))
    print(json.dumps({"began_s": began_s, "ended_s": time.monotonic(), "cpu_s": time.process_time() - began_cpu_s}), flush=True)


def download(connection: http.client.HTTPSConnection, entry: FileEntry, target: Path) -> None:
    """Bring one file over one connection."""
    connection.request("GET", f"/{entry.sha256}")
    response = connection.getresponse()
    assert response.status == http.HTTPStatus.OK
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with target.open("wb", buffering=0) as stream:
        for chunk in entry.chunks:
            filled = 0
            while filled < CHUNK_BYTES and (count := response.readinto(buffer[filled:])):
                filled += count
            assert sha256_of(buffer[:filled]) == chunk
            stream.write(buffer[:filled])
        os.fsync(stream.fileno())
    connection.close()


if __name__ == "__main__":
    main()
