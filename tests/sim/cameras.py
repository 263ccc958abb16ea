"""Plays cameras: a stream of JPEG pictures over HTTP that can fall silent, freeze or hang up, and recordings on the disk."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from tests.live.ports import free_port

USER, PASSWORD = "roof", "pass-wort/with?all"
HEIGHT, WIDTH, PATCH, FRAMES_PER_S = 48, 64, 16, 20
Pixels = npt.NDArray[np.uint8]
Mood = Literal["shows", "frozen", "silent", "gone"]


def picture(number: int) -> Pixels:
    """Return a picture (BGR) that is another one than its neighbours."""
    patches = np.random.default_rng(number % 64).integers(0, 256, (HEIGHT // PATCH, WIDTH // PATCH, 3), np.uint8)
    return patches.repeat(PATCH, axis=0).repeat(PATCH, axis=1)


def as_jpeg(pixels: Pixels) -> bytes:
    """Return a file's bytes."""
    return bytes(cv2.imencode(".jpg", pixels)[1].tobytes())


def write_recording(file: Path, frames: int, codec: str) -> Path:
    """Write a film; MJPG to .avi, mp4v to .mp4."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*codec), FRAMES_PER_S, (WIDTH, HEIGHT))
    assert writer.isOpened(), codec
    for number in range(frames):
        writer.write(picture(number))
    writer.release()
    return file


class StreamCamera:
    """An IP camera's `/stream.mjpg`."""

    def __init__(self, *, asks_password: bool = False) -> None:
        """Listen on a free port, which stays its own when it is gone for a while."""
        self.port = free_port()
        self.mood: Mood = "shows"
        self.viewers = 0
        self._asks_password = asks_password
        self._server: ThreadingHTTPServer | None = None

    def url(self, user: str = "", password: str = "") -> str:
        """Return where it shows its pictures."""
        login = f"{user}:{password}@" if user else ""
        return f"http://{login}127.0.0.1:{self.port}/stream.mjpg"

    def plug_in(self) -> None:
        """Begin to show."""
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.show(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it
                """Keep still."""

        self.mood = "shows"
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def unplug(self) -> None:
        """Hang up on everybody."""
        self.mood = "gone"
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def show(self, viewer: BaseHTTPRequestHandler) -> None:
        """Send pictures until told otherwise."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self._asks_password and viewer.headers.get("Authorization") != f"Basic {login}":
            viewer.send_response(401)
            viewer.send_header("WWW-Authenticate", 'Basic realm="camera"')
            viewer.end_headers()
            return
        viewer.send_response(200)
        viewer.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        viewer.end_headers()
        self.viewers += 1
        with suppress(OSError):
            self._send_pictures(viewer)
        self.viewers -= 1
        with suppress(OSError):
            viewer.connection.shutdown(socket.SHUT_RDWR)

    def _send_pictures(self, viewer: BaseHTTPRequestHandler) -> None:
        number = 0
        while self.mood != "gone":
            if self.mood != "silent":
                number += self.mood == "shows"
                jpeg = as_jpeg(picture(number))
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                viewer.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(1 / FRAMES_PER_S)


@contextmanager
def stream_camera(*, asks_password: bool = False) -> Iterator[StreamCamera]:
    """Run a camera for the length of a test."""
    camera = StreamCamera(asks_password=asks_password)
    camera.plug_in()
    try:
        yield camera
    finally:
        camera.unplug()
