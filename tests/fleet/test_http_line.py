"""The command line's own HTTP: whom it believes, what it sends again, and how it goes through a proxy."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contracts.errors import InvalidDocumentError, TooLargeError
from fleet.cli.client import ApiClient
from fleet.cli.http_line import MAX_ANSWER_BYTES, Answer, HttpLine
from fleet.cli.server_url import parse_url
from fleet.errors.client import AnswerLostError, ClearTextError, RefusedError, ServerUnreachableError
from tests.live.authority import authority, context_of, server_identity

PATIENCE_S = 60.0
LARGE_BYTES = 32 << 20
TOKEN = {"Authorization": "Bearer secret"}


class Handler(BaseHTTPRequestHandler):
    """Answers, and goes wrong where a path says so."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def do_GET(self) -> None:
        self.server.heard.append(f"{self.path} {self.headers['Authorization']}")
        if self.path == "/cut":
            self._answer(200, b'{"half":', claimed=100)
            self.close_connection = True
        elif self.path == "/endless":
            self._answer(200, bytes(MAX_ANSWER_BYTES + 1))
        else:
            self._answer(200, json.dumps(self.path).encode())
            # Without having said so.
            self.close_connection = self.path == "/last"

    def do_PUT(self) -> None:
        if self.path.endswith("/refused"):
            self._answer(413, b'{"detail": "too much"}')
            self.close_connection = True
            return
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self._answer(200, self.headers["Content-Length"].encode())

    def do_CONNECT(self) -> None:
        self.server.heard.append(f"{self.path} {self.headers['Proxy-Authorization']}")
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE_S) as behind:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_carry, args=(behind, self.connection))
            back.start()
            _carry(self.connection, behind)
            back.join(PATIENCE_S)
        self.close_connection = True

    def _answer(self, status: int, content: bytes, claimed: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if claimed is None else claimed))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the standard library
        """Stay silent."""


class Server(ThreadingHTTPServer):
    """Remembers who came."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0
        self.heard: list[str] = []
        self.ended = threading.Event()
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        super().shutdown_request(request)
        self.ended.set()

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent about whoever does not believe us."""


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other end is gone


def _serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join(PATIENCE_S)
    server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    yield from _serving(Server())


@pytest.fixture
def tls_server() -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_identity())
    yield from _serving(Server(context))


@pytest.fixture
def proxy() -> Iterator[Server]:
    yield from _serving(Server())


def plain(server: Server) -> HttpLine:
    return HttpLine(parse_url(f"http://127.0.0.1:{server.server_port}"), None, TOKEN)


def trusting(server: Server, context: ssl.SSLContext, host: str = "localhost") -> HttpLine:
    return HttpLine(parse_url(f"https://{host}:{server.server_port}"), context, TOKEN)


def get(line: HttpLine, path: str) -> Answer:
    return line.ask("GET", path, None, {}, PATIENCE_S)


def test_requests_share_one_connection(server: Server) -> None:
    with closing(plain(server)) as line:
        assert [get(line, path).content for path in ("/a", "/b")] == [b'"/a"', b'"/b"']

    assert server.connections == 1


def test_no_request_is_sent_where_the_server_has_hung_up(server: Server) -> None:
    with closing(plain(server)) as line:
        get(line, "/last")
        assert server.ended.wait(PATIENCE_S)
        assert line.ask("PUT", "/file", b"abc", {}, PATIENCE_S) == Answer(200, b"3")

    assert server.connections == 2


def test_a_name_with_a_space_and_an_accent_travels_escaped(server: Server) -> None:
    with closing(plain(server)) as line:
        assert get(line, "/devices/my café?limit=5").content == b'"/devices/my%20caf%C3%A9?limit=5"'


def test_an_answer_that_was_cut_off_is_lost(server: Server) -> None:
    with closing(plain(server)) as line, pytest.raises(AnswerLostError):
        get(line, "/cut")


def test_an_answer_past_all_bounds_is_not_read(server: Server) -> None:
    with closing(plain(server)) as line, pytest.raises(TooLargeError):
        get(line, "/endless")


def test_a_file_is_sent_whole(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(3 << 20))
    with closing(plain(server)) as line, file.open("rb") as stream:
        stream.seek(1)
        assert line.ask("PUT", "/file", stream, {}, PATIENCE_S).content == str((3 << 20) - 1).encode()


def test_a_server_that_refuses_before_it_has_read_all_is_heard(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb") as stream:
        stream.truncate(LARGE_BYTES)
    with closing(plain(server)) as line, file.open("rb") as stream, pytest.raises(RefusedError, match="too much"):
        ApiClient(line).upload("refused", stream)


def test_nobody_there_is_told_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with closing(HttpLine(parse_url(url), None, TOKEN)) as line, pytest.raises(ServerUnreachableError, match="refused"):
        get(line, "/")


def test_a_server_is_believed_by_its_authority(tls_server: Server) -> None:
    with closing(trusting(tls_server, context_of(None))) as line:
        assert get(line, "/a").is_success


def test_a_token_is_shown_to_no_server_of_another_authority(tls_server: Server) -> None:
    with closing(trusting(tls_server, ssl.create_default_context())) as line, pytest.raises(ServerUnreachableError, match="certificate"):
        get(line, "/a")

    assert tls_server.heard == []


def test_a_token_is_shown_to_no_server_of_another_name(tls_server: Server) -> None:
    context = ssl.create_default_context(cadata=authority().certificate_file.read_text())
    with closing(trusting(tls_server, context, "127.0.0.2")) as line, pytest.raises(ServerUnreachableError, match=r"127\.0\.0\.2"):
        get(line, "/a")

    assert tls_server.heard == []


def test_a_proxy_passes_on_what_it_cannot_read(tls_server: Server, proxy: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://anna:p%40ss@127.0.0.1:{proxy.server_port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    with closing(trusting(tls_server, context_of(None))) as line:
        assert get(line, "/a").is_success

    assert proxy.heard == [f"localhost:{tls_server.server_port} Basic YW5uYTpwQHNz"]
    assert tls_server.heard == ["/a Bearer secret"]


def test_no_proxy_is_asked_for_a_host_that_needs_none(tls_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "localhost")

    with closing(trusting(tls_server, context_of(None))) as line:
        assert get(line, "/a").is_success


def test_a_proxy_of_another_kind_is_refused_without_its_password(tls_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://anna:geheim@127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    with pytest.raises(InvalidDocumentError, match="HTTPS_PROXY: expected a proxy such as") as refused:
        trusting(tls_server, context_of(None))
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("text", ["fleet.example", "ftp://127.0.0.1", "https://", "https://fleet.example:port", "https://[::1"])
def test_what_is_no_address_of_a_server_is_refused(text: str) -> None:
    with pytest.raises(InvalidDocumentError, match="connection: url: expected an address"):
        parse_url(text)


def test_without_tls_only_this_machine_is_spoken_to() -> None:
    assert not parse_url("http://[::1]:8080/fleet/").is_tls
    assert parse_url("http://localhost/fleet/").path == "/fleet"
    with pytest.raises(ClearTextError):
        parse_url("http://fleet.example:8080")
