"""A person at the broker with mosquitto_sub: what devices say, as lines on a screen."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Subscriber:
    """The lines that one mosquitto_sub printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._thread.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            topic, _, payload = line.rstrip("\n").partition(" ")
            self._lines.put((topic, payload))

    def next(self, deadline_s: float) -> tuple[str, Any]:
        """Return the next topic and its JSON payload; queue.Empty past the deadline."""
        topic, payload = self._lines.get(timeout=deadline_s)
        return topic, json.loads(payload)

    def wait_for(self, topic: str, key: str, value: object, deadline_s: float) -> float:
        """Wait until a message on `topic` has `value` under `key`; return the seconds it took, queue.Empty past the deadline."""
        start = time.monotonic()
        while True:
            found, payload = self.next(deadline_s - (time.monotonic() - start))
            if found == topic and payload.get(key) == value:
                return time.monotonic() - start

    def seen(self) -> list[tuple[str, str]]:
        """Return, and forget, all that came."""
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get_nowait())
        return lines


@contextmanager
def subscribed(fleet_dir: Path, *filters: str) -> Iterator[Subscriber]:
    """Run mosquitto_sub with the read-only login that the server left for it in its folder."""
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("mosquitto_sub is not installed (Debian: mosquitto-clients)")
    words = [word for topic in filters for word in ("-t", topic)]
    command = ["mosquitto_sub", "-V", "mqttv5", "-F", "%t %p", *words]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(fleet_dir)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield Subscriber(process)
    finally:
        process.terminate()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
