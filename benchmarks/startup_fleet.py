"""Starts a fleet server and its client commands, and tells the processor time that each has taken once it does its work."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import psutil

from tests.live.ports import free_port

PATIENCE_S = 60.0
EMPTY_PAGE = b'{"items": [], "next": null}'


def server_cpu_s(folder: Path, environment: Mapping[str, str]) -> float:
    """Return what `fieldfare fleet up` takes until /readyz says yes, the broker beside it not counted; it is stopped then."""
    port, tls_port, broker_port = (str(free_port()) for _ in range(3))
    options = ("--dir", str(folder), "--port", port, "--tls-port", tls_port, "--broker-port", broker_port)
    server = subprocess.Popen([sys.executable, "-m", "cli", "fleet", "up", *options], env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + PATIENCE_S
        while not _is_ready(f"http://127.0.0.1:{port}/readyz"):
            if server.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit("the server did not start")
            time.sleep(0.02)
        return _cpu_s(server)
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


def client_cpu_s(words: tuple[str, ...], environment: Mapping[str, str]) -> float:
    """Return what a command takes until its request has come here; it is answered with an empty page."""
    taken_s: list[float] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            taken_s.append(_cpu_s(client))
            self.send_response(200)
            self.send_header("Content-Length", str(len(EMPTY_PAGE)))
            self.end_headers()
            self.wfile.write(EMPTY_PAGE)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Answer) as asked:
        asked.timeout = PATIENCE_S
        address = {"FIELDFARE_SERVER": f"http://127.0.0.1:{asked.server_port}", "FIELDFARE_TOKEN": "any"}
        command = [sys.executable, "-m", "cli", *words]
        client = subprocess.Popen(command, env={**environment, **address}, stdout=subprocess.DEVNULL)
        asked.handle_request()
        if client.wait(PATIENCE_S) or not taken_s:
            raise SystemExit(f"no request of: fieldfare {' '.join(words)}")
    return taken_s[0]


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system
