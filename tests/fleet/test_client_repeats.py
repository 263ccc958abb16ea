"""The command line's client, whose answers get lost on the way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from fleet.cli.client import SENT_AGAIN, ApiClient
from fleet.cli.http_line import HttpLine
from fleet.cli.server_url import parse_url
from fleet.errors.client import ServerUnreachableError
from fleet.requests.access import NewToken
from fleet.views.access import TokenView

BODY = b'{"name":"anna","role":"viewer","created_at":"2026-01-01T00:00:00Z","expires_at":null}'
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
NEW = NewToken(name="anna", role="viewer")


class Forgetful:
    """A server that closes its first connections without a word, after it has read the requests."""

    def __init__(self, silent: int) -> None:
        """Listen."""
        self.keys: list[str] = []
        self._silent = silent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(60)
                request = connection.recv(65536)
                if not request:
                    return
                while b"}" not in request:
                    request += connection.recv(65536)
                head = request.decode().lower().split("\r\n")
                self.keys.append(next(line.split(": ")[1] for line in head if line.startswith("idempotency-key")))
                if len(self.keys) > self._silent:
                    connection.sendall(ANSWER)

    def stop(self) -> None:
        """End the thread."""
        with socket.create_connection(self._listener.getsockname()):
            pass
        self._thread.join(60)
        self._listener.close()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Forgetful]:
    """Start one that is silent as often as the test says."""
    forgetful = Forgetful(request.param)
    yield forgetful
    forgetful.stop()


@pytest.mark.parametrize("server", [0, 1, SENT_AGAIN], indirect=True)
def test_a_request_whose_answer_got_lost_is_sent_again_under_the_same_name(server: Forgetful) -> None:
    with closing(HttpLine(parse_url(server.url), None, {})) as line:
        assert ApiClient(line).post("tokens", NEW, TokenView).name == "anna"

    assert len(server.keys) <= SENT_AGAIN + 1
    assert len(set(server.keys)) == 1


@pytest.mark.parametrize("server", [99], indirect=True)
def test_a_server_that_never_answers_is_given_up(server: Forgetful) -> None:
    with closing(HttpLine(parse_url(server.url), None, {})) as line, pytest.raises(ServerUnreachableError):
        ApiClient(line).post("tokens", NEW, TokenView)

    assert len(server.keys) == SENT_AGAIN + 1


@pytest.mark.parametrize("server", [0], indirect=True)
def test_two_requests_have_two_names(server: Forgetful) -> None:
    with closing(HttpLine(parse_url(server.url), None, {})) as line:
        for _ in range(2):
            ApiClient(line).post("tokens", NEW, TokenView)

    assert len(set(server.keys)) == 2
