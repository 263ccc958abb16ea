"""Who comes through a balancer: its word counts where it was named, and nobody else's, whatever he sends."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.core.logins import FREE_FAILURES
from tests.fleet.server import FleetProcess, fieldfare, wait_for
from tests.live.haproxy import haproxy
from tests.live.ports import free_port

# Ends TLS, or as here has none, and adds who comes to the header.
FORWARDING = """
global
    log stdout format raw local0 notice
defaults
    mode http
    timeout connect 3s
    timeout client 30s
    timeout server 30s
    option forwardfor
frontend fleet
    bind "${FLEET_BIND}"
    default_backend servers
backend servers
    server a "${SERVER_A}"
"""
SECONDS = 60
# Waits double, from a second on: on a busy machine the first ones are over before the next attempt.
MAX_ATTEMPTS = FREE_FAILURES + 10
LIE = {"X-Forwarded-For": "9.9.9.9", "Forwarded": "for=9.9.9.9"}


@dataclass(frozen=True)
class Doors:
    """A server that names 127.0.0.1 alone, and two balancers there: one passes TLS through, the other one is for the door without."""

    fleet: FleetProcess
    passing: str
    forwarding: str

    @property
    def believed(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.fleet.folder / "authority" / "ca.pem"))

    def fails(self, url: str, source: str, name: str, headers: dict[str, str] | None = None) -> int:
        """Fail to sign in from an address of this machine; return the status."""
        transport = httpx.HTTPTransport(local_address=source, verify=self.believed)
        with httpx.Client(base_url=url, transport=transport, timeout=60, headers=headers or {}) as browser:
            return browser.post("/login", data={"name": name, "password": "not the right one"}).status_code

    def answers_after(self, header: bytes, source: str) -> bool:
        """Say whether the door with TLS answers on a connection from an address that begins with a header."""
        with socket.create_connection(("127.0.0.1", self.fleet.tls_port), SECONDS, (source, 0)) as connection:
            connection.sendall(header)
            # Over memory: the ssl module loses a socket that ends before its handshake begins.
            coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
            secure = self.believed.wrap_bio(coming, going, server_hostname="127.0.0.1")

            def had(act: Callable[[], bytes | None]) -> bytes | None:
                while True:
                    try:
                        found = act()
                    except ssl.SSLWantReadError:  # noqa: PERF203 - that more has to come is the usual case
                        connection.sendall(going.read())
                        came = connection.recv(1 << 16)
                        if not came:
                            raise ConnectionResetError from None
                        coming.write(came)
                    else:
                        connection.sendall(going.read())
                        return found

            try:
                had(secure.do_handshake)
                secure.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return had(lambda: secure.read(12)) == b"HTTP/1.1 200"
            except OSError:
                return False

    def told(self) -> str:
        """Return where the newest failure came from, by the audit log."""
        with self.fleet.api as api:
            row: dict[str, Any] = api.get("audit", params={"what": "login.password", "limit": 1}).json()["items"][0]
        return str(row["source"])


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("proxies")
    (folder / "forwarding.cfg").write_text(FORWARDING)
    passing, forwarding = free_port(), free_port()
    with ExitStack() as stack:
        fleet = stack.enter_context(FleetProcess(folder / "home", None, "--proxy-protocol", "127.0.0.1", "--trusted-proxy", "127.0.0.1/32"))
        stack.enter_context(haproxy(passing, (fleet.tls_port, fleet.tls_port), folder / "passing.log"))
        stack.enter_context(haproxy(forwarding, (fleet.port, fleet.port), folder / "forwarding.log", folder / "forwarding.cfg"))
        found = Doors(fleet, f"https://127.0.0.1:{passing}", f"http://127.0.0.1:{forwarding}")
        for url in (found.passing, found.forwarding):
            wait_for(partial(is_up, url, found.believed))
        yield found


def is_up(url: str, believed: ssl.SSLContext) -> bool:
    try:
        return httpx.get(f"{url}/healthz", verify=believed, timeout=30).is_success
    except httpx.TransportError:
        return False


def test_behind_a_balancer_that_passes_tls_through_each_is_counted_and_told_by_his_own_address(doors: Doors) -> None:
    # When somebody fails until he has to wait, whatever he says of himself
    attempts = (doors.fails(doors.passing, "127.0.0.5", f"guess-{number}", LIE) for number in range(MAX_ATTEMPTS))
    answers = list(takewhile(lambda status: status == 401, attempts))
    assert FREE_FAILURES <= len(answers) < MAX_ATTEMPTS
    assert doors.told() == "dashboard 127.0.0.5"
    # Then somebody else need not
    assert doors.fails(doors.passing, "127.0.0.6", "other") == 401
    assert doors.told() == "dashboard 127.0.0.6"


def test_behind_a_proxy_that_adds_a_header_its_own_word_counts_and_not_the_callers(doors: Doors) -> None:
    assert doors.fails(doors.forwarding, "127.0.0.7", "one", LIE) == 401
    assert doors.told() == "dashboard 127.0.0.7"


def test_who_is_not_named_lies_in_vain_at_every_door(doors: Doors) -> None:
    for url in (f"http://127.0.0.1:{doors.fleet.port}", doors.fleet.tls_url):
        assert doors.fails(url, "127.0.0.8", "two", LIE) == 401
        assert doors.told() == "dashboard 127.0.0.8"
    # And a header of the PROXY protocol is no TLS
    assert not doors.answers_after(b"PROXY TCP4 9.9.9.9 127.0.0.1 1 2\r\n", "127.0.0.8")


@pytest.mark.parametrize(
    ("header", "is_let_in"),
    [
        (b"PROXY TCP4 10.1.2.3 127.0.0.1 4000 8481\r\n", True),
        (b"PROXY TCP6 2001:db8::1 ::1 4000 8481\r\n", True),
        (b"PROXY UNKNOWN\r\n", True),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", True),
        (b"", False),
        (b"PROXY TCP4 nowhere 127.0.0.1 4000 8481\r\n", False),
        (b"PROXY " + b"A" * 200, False),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", False),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x7f\0\0\x01", False),
    ],
)
def test_a_named_balancer_begins_with_a_header_that_can_be_read(doors: Doors, header: bytes, is_let_in: bool) -> None:
    assert doors.answers_after(header, "127.0.0.1") is is_let_in


@pytest.mark.parametrize("text", ["everybody", "10.0.0.1/8", "0.0.0.0/0", "::/0"])
def test_balancers_are_named_by_their_addresses(tmp_path: Path, text: str) -> None:
    done = fieldfare(tmp_path / "home", "fleet", "up", "--trusted-proxy", text)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: fleet up: --trusted-proxy: expected ")
