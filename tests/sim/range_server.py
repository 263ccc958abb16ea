"""A web server that answers ranges of files by digest, and misbehaves where a test tells it to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from contracts.codec import sha256_of


class RangeServer(ThreadingHTTPServer):
    """Files in memory; `answers` is how many requests are answered before `fault` shows."""

    daemon_threads = True

    def __init__(self, *files: bytes, identity: Path | None = None) -> None:
        """Serve files; with an `identity`, a PEM file of key and certificate, over TLS."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self._scheme = "http"
        # Where it sends whoever asks for a file; empty for nowhere.
        self.leads_to = ""
        if identity is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(identity)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self._scheme = "https"
        self.files = {sha256_of(raw): raw for raw in files}
        self.answers = 1_000_000
        self.fault = "404"
        self.requests: list[tuple[str, str | None]] = []
        # Called after the fault has shown.
        self.on_refusal: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}/files"


class _Handler(BaseHTTPRequestHandler):
    server: RangeServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one range."""
        if self.server.leads_to:
            self.server.requests.append((self.headers["Range"], None))
            self.send_response(307)
            self.send_header("Location", f"{self.server.leads_to}/{self.path.removeprefix('/files/')}?signature=good")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        digest = self.path.removeprefix("/files/").partition("?")[0]
        wanted = self.headers["Range"].removeprefix("bytes=").split("-")
        raw = self.server.files.get(digest, b"")
        part = raw[int(wanted[0]) : int(wanted[1]) + 1]
        self.server.requests.append((self.headers["Range"], self.headers["Authorization"]))
        self.server.answers -= 1
        fault = self.server.fault if self.server.answers < 0 or not raw else ""
        self.send_response(int(fault) if fault.isdigit() else 206)
        self.send_header("Content-Range", f"bytes {wanted[0]}-{wanted[1]}/{len(raw)}")
        body = b"" if fault.isdigit() else part[:-1] + bytes([part[-1] ^ 1]) if fault == "wrong" else part
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
        self.close_connection = fault == "cut"
        if fault:
            self.server.on_refusal()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Stay silent."""


@contextmanager
def serving(*files: bytes, identity: Path | None = None) -> Iterator[RangeServer]:
    """Run a server."""
    with RangeServer(*files, identity=identity) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)
