"""A server's certificate is replaced before it ends, while broker and API go on: a real mosquitto, and the real doors."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import anyio
from fastapi import FastAPI

from fleet.authority import Authority
from fleet.doors import Doors, Papers, bound
from fleet.south.broker import Broker
from fleet.south.mosquitto_conf import Address
from tests.live.authority import context_of, identity_of
from tests.live.ports import free_port

HOST = "127.0.0.1"
SECONDS = 60.0


def now() -> datetime:
    return datetime.now(timezone.utc)


@contextmanager
def talking(port: int, authority: Authority, identity: Path) -> Iterator[ssl.SSLSocket]:
    """Yield a connection whose handshake is over."""
    plain = socket.create_connection((HOST, port), timeout=SECONDS)
    with context_of(identity, authority.certificate_file).wrap_socket(plain, server_hostname=HOST) as spoken:
        yield spoken


def serial(spoken: ssl.SSLSocket) -> str:
    shown = spoken.getpeercert()
    assert shown
    return str(shown["serialNumber"])


async def until_shown_anew(port: int, authority: Authority, identity: Path, before: str) -> None:
    with anyio.fail_after(SECONDS):
        while True:
            with talking(port, authority, identity) as spoken:
                if serial(spoken) != before:
                    return
            await anyio.sleep(0.05)


def own_identity(folder: Path, authority: Authority) -> Path:
    file = folder / "own.pem"
    file.write_text(identity_of("fleet", by=authority))
    return file


def test_the_broker_shows_the_new_one_and_ends_nobodys_connection(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority", now())
    address = Address(HOST, free_port(), authority.certificate_file, authority.server_identity((HOST,), now()))
    broker, identity = Broker(tmp_path / "broker", address), own_identity(tmp_path, authority)

    async def live() -> None:
        broker.admit((), authority.revocation_list((), now()))
        await broker.start()
        try:
            with talking(address.port, authority, identity) as before:
                authority.server_identity((HOST,), now())
                broker.reload()
                await until_shown_anew(address.port, authority, identity, serial(before))
                # An empty MQTT 5 CONNECT is answered: the old connection is alive.
                before.sendall(bytes((16, 14, 0, 4)) + b"MQTT" + bytes((5, 2, 0, 60, 0, 0, 1)) + b"x")
                assert before.recv(1)[0] == 0x20
        finally:
            await broker.stop()

    anyio.run(live)


def test_the_door_shows_the_new_one_and_answers_on_connections_of_the_old(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority", now())
    papers = Papers(authority.server_identity((HOST,), now()), authority.certificate_file)
    identity, app = own_identity(tmp_path, authority), FastAPI()
    opened = anyio.Event()

    async def live() -> None:
        doors = Doors(app, papers, opened.set)
        with bound(HOST, 0, "--port") as inside, bound(HOST, 0, "--tls-port") as outside:
            port = int(outside.getsockname()[1])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(doors.serve, inside, outside)
                with anyio.fail_after(SECONDS):
                    await opened.wait()
                await anyio.to_thread.run_sync(renewed, doors, port)
                tasks.cancel_scope.cancel()

    def renewed(doors: Doors, port: int) -> None:
        with talking(port, authority, identity) as before:
            authority.server_identity((HOST,), now())
            doors.reload()
            anyio.run(until_shown_anew, port, authority, identity, serial(before))
            before.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            assert before.recv(12) == b"HTTP/1.1 404"

    anyio.run(live)
