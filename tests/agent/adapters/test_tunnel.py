"""The tunnel of the line for files, at a TLS server of the standard library: every byte in its order, no wait, and a clear end."""

from __future__ import annotations

import os
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agent.adapters.tunnel import TAKE_BYTES, Tunnel
from fleet.authority import Authority
from tests.live.authority import authority, context_of, file_of, server_identity

WAIT_S = 90.0


@contextmanager
def served(serve: Callable[[ssl.SSLSocket], None], ends: list[OSError] | None = None) -> Iterator[int]:
    """Let one client in, and yield the port; `ends` takes what the server found amiss."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_identity())
    context.load_verify_locations(authority().certificate_file)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)

        def run() -> None:
            plain, _ = listener.accept()
            plain.settimeout(WAIT_S)
            try:
                with context.wrap_socket(plain, server_side=True) as peer:
                    serve(peer)
            except OSError as error:
                if ends is not None:
                    ends.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(WAIT_S)


@contextmanager
def tunnel_to(port: int) -> Iterator[Tunnel]:
    tunnel = Tunnel("127.0.0.1", port, context_of(file_of("pi-1")), WAIT_S)
    try:
        yield tunnel
    finally:
        tunnel.close()


def wait_to_read(tunnel: Tunnel) -> None:
    assert select.select([tunnel], [], [], WAIT_S)[0], "nothing came"


def test_all_that_is_said_comes_in_its_order_into_rooms_of_any_size() -> None:
    # Given more than the kernel gives at a time, in parts that fit no record
    said = os.urandom(5 * TAKE_BYTES + 77)
    sizes = random.Random(1)

    # When
    heard = b""
    with served(lambda peer: peer.sendall(said)) as port, tunnel_to(port) as tunnel:
        while len(heard) < len(said):
            room = bytearray(min(sizes.choice((1, 3, 1000, 20_000, 300_000)), len(said) - len(heard)))
            count = tunnel.fill(memoryview(room))
            heard += room[:count]
            if not count:
                wait_to_read(tunnel)

    # Then
    assert heard == said


def test_an_empty_line_is_no_end() -> None:
    is_over = threading.Event()

    def say_nothing(_peer: ssl.SSLSocket) -> None:
        is_over.wait(WAIT_S)

    with served(say_nothing) as port, tunnel_to(port) as tunnel:
        assert tunnel.fill(memoryview(bytearray(10))) == 0
        is_over.set()


def test_what_a_peer_does_not_take_waits_without_holding_anybody_up() -> None:
    # Given a peer that does not read yet
    said, heard = os.urandom(20_000_000), bytearray()
    may_read, has_read = threading.Event(), threading.Event()

    def hear(peer: ssl.SSLSocket) -> None:
        may_read.wait(WAIT_S)
        while len(heard) < len(said) and (part := peer.recv(1 << 20)):
            heard.extend(part)
        has_read.set()

    with served(hear) as port, tunnel_to(port) as tunnel:
        # When
        tunnel.say(said)
        left = tunnel.unsent_bytes
        may_read.set()
        until_s = time.monotonic() + WAIT_S
        while tunnel.unsent_bytes and time.monotonic() < until_s:
            select.select([], [tunnel], [], WAIT_S)
            tunnel.flush()
        assert has_read.wait(WAIT_S)

    # Then
    assert left > 0
    assert bytes(heard) == said


@pytest.mark.parametrize("farewell", [lambda peer: peer.unwrap(), lambda peer: peer.close()], ids=["with a word", "without"])
def test_the_end_of_a_line_is_an_error(farewell: Callable[[ssl.SSLSocket], object]) -> None:
    def hang_up(peer: ssl.SSLSocket) -> None:
        peer.send(b"last")
        farewell(peer)

    def hear_all(tunnel: Tunnel) -> None:
        while True:
            if not tunnel.fill(memoryview(bytearray(4))):  # what came with the rest is there already
                wait_to_read(tunnel)

    with served(hang_up) as port, tunnel_to(port) as tunnel, pytest.raises(OSError, match=r"hung up|EOF"):
        hear_all(tunnel)


def test_a_server_that_is_refused_is_told_why(tmp_path: Path) -> None:
    # Given a device of another fleet, and a server that listens to what becomes of its handshake
    believed = Authority(tmp_path, datetime.now(timezone.utc)).certificate_file
    ends: list[OSError] = []

    # When
    with served(lambda peer: peer.close(), ends) as port, pytest.raises(ssl.SSLCertVerificationError):
        Tunnel("127.0.0.1", port, context_of(file_of("pi-1"), believed), WAIT_S)

    # Then
    assert [error.reason for error in ends if isinstance(error, ssl.SSLError)] == ["TLSV1_ALERT_UNKNOWN_CA"]
