"""The broker's adapter, on its own: what it says when mosquitto cannot start."""

from __future__ import annotations

import resource
import socket
from datetime import datetime, timezone
from pathlib import Path

import anyio
import psutil
import pytest

from fleet.errors.server import BrokerFailedError, ToolMissingError
from fleet.south.broker import Broker
from fleet.south.mosquitto_conf import Address
from tests.live.authority import authority, context_of, file_of, server_identity
from tests.live.ports import free_port


def address(port: int) -> Address:
    return Address("127.0.0.1", port, authority().certificate_file, server_identity())


def test_a_missing_mosquitto_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker", address(free_port()), search_path="/usr/bin")

    with pytest.raises(ToolMissingError, match=r"^mosquitto: .* run: sudo apt-get install --no-install-recommends mosquitto$"):
        anyio.run(broker.start)


def test_a_mosquitto_that_finds_its_port_taken_is_quoted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        broker = Broker(tmp_path / "broker", address(stranger.getsockname()[1]))
        broker.admit((), authority().revocation_list((), datetime.now(timezone.utc)))

        with pytest.raises(BrokerFailedError, match=r"found it ended: .*Address already in use; see .*mosquitto\.log$"):
            anyio.run(broker.start)


def test_the_broker_may_have_as_many_connections_as_the_system_allows_whatever_this_process_may(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    broker = Broker(tmp_path / "broker", address(free_port()))
    broker.admit((), authority().revocation_list((), datetime.now(timezone.utc)))

    async def limit() -> tuple[int, int]:
        await broker.start()
        (child,) = (each for each in psutil.Process().children() if each.name() == "mosquitto")
        found = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
        await broker.stop()
        return found

    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        assert anyio.run(limit) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_broker_and_device_agree_on_the_cipher_that_costs_a_device_without_aes_least(tmp_path: Path) -> None:
    # Given a device that, as every OpenSSL, would rather have AES
    port = free_port()
    broker = Broker(tmp_path / "broker", address(port))
    broker.admit((), authority().revocation_list((), datetime.now(timezone.utc)))

    async def agreed() -> str:
        await broker.start()
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 10) as plain,
                context_of(file_of("pi-1")).wrap_socket(plain, server_hostname="127.0.0.1") as wire,
            ):
                cipher = wire.cipher()
                assert cipher is not None
                return cipher[0]
        finally:
            await broker.stop()

    assert anyio.run(agreed) == "TLS_CHACHA20_POLY1305_SHA256"
