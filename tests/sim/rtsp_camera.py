"""Plays an IP camera that speaks RTSP: pictures as RTP/JPEG (RFC 2435) inside the RTSP connection (RFC 2326, 10.12), behind a password."""

from __future__ import annotations

import base64
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.sim.cameras import FRAMES_PER_S, HEIGHT, PASSWORD, USER, WIDTH, as_jpeg, picture

RTP_CLOCK_HZ, JPEG_PAYLOAD, FRAGMENT_BYTES = 90_000, 26, 1200
# Luma sampled twice as densely as colour, in both directions.
TYPE_420 = 1
OWN_TABLES = 255
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
DESCRIPTION = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"


def fragments(jpeg: bytes, number: int) -> Iterator[bytes]:
    """Yield the RTP packets of one picture, each as it goes into the connection."""
    tables, scan = _taken_apart(jpeg)
    for offset in range(0, len(scan), FRAGMENT_BYTES):
        part = scan[offset : offset + FRAGMENT_BYTES]
        head = struct.pack("!I", offset) + bytes([TYPE_420, OWN_TABLES, WIDTH // 8, HEIGHT // 8])
        if offset == 0:
            head += struct.pack("!BBH", 0, 0, len(tables)) + tables
        is_last = offset + FRAGMENT_BYTES >= len(scan)
        stamp = number * RTP_CLOCK_HZ // FRAMES_PER_S
        sequence = (number * 1000 + offset // FRAGMENT_BYTES) & 0xFFFF
        rtp = struct.pack("!BBHII", 0x80, JPEG_PAYLOAD | is_last << 7, sequence, stamp, 7) + head + part
        yield struct.pack("!cBH", b"$", 0, len(rtp)) + rtp


def _taken_apart(jpeg: bytes) -> tuple[bytes, bytes]:
    """Return the quantization tables and the scan of a file."""
    tables, at = b"", 2
    while True:
        marker, length = jpeg[at + 1], struct.unpack("!H", jpeg[at + 2 : at + 4])[0]
        if marker == 0xDB:
            tables += jpeg[at + 5 : at + 2 + length]
        at += 2 + length
        if marker == 0xDA:
            return tables, jpeg[at:-2]


class RtspCamera(socketserver.ThreadingTCPServer):
    """Listens on a free port."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Viewer)
        self.is_on = True

    def url(self, login: str) -> str:
        """Return where it shows its pictures to whom."""
        return f"rtsp://{login}127.0.0.1:{self.server_address[1]}/live"


class Viewer(socketserver.StreamRequestHandler):
    """One connection."""

    server: RtspCamera

    def handle(self) -> None:
        """Answer requests until PLAY, then send pictures."""
        with suppress(OSError):
            while (method := self._answer()) is not None:
                if method == "PLAY":
                    self._play()
                    return

    def _answer(self) -> str | None:
        lines = list[str]()
        while (line := self.rfile.readline().decode().strip()) or not lines:
            if not line:
                return None
            lines.append(line)
        method = lines[0].split()[0]
        headers = dict(line.split(": ", 1) for line in lines[1:])
        status, more, body = "200 OK", "", ""
        if method == "DESCRIBE" and headers.get("Authorization") != LOGIN:
            status, more = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif method == "DESCRIBE":
            more, body = "Content-Type: application/sdp\r\n", DESCRIPTION
        elif method == "SETUP" and "TCP" not in headers["Transport"]:
            status = "461 Unsupported Transport"
        elif method == "SETUP":
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        head = f"RTSP/1.0 {status}\r\nCSeq: {headers['CSeq']}\r\nSession: 1\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        self.wfile.write((head + body).encode())
        return method

    def _play(self) -> None:
        number = 0
        while self.server.is_on:
            number += 1
            for packet in fragments(as_jpeg(picture(number)), number):
                self.wfile.write(packet)
            time.sleep(1 / FRAMES_PER_S)


@contextmanager
def rtsp_camera() -> Iterator[RtspCamera]:
    """Run a camera for the length of a test."""
    with RtspCamera() as camera:
        threading.Thread(target=camera.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield camera
        finally:
            camera.is_on = False
            camera.shutdown()
