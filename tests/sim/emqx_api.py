"""The part of EMQX's REST API that fleet servers use, as its documents describe it: rules, and bans that end connections."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class EmqxApi:
    """What it was told, and who may tell it."""

    def __init__(self, key: str, secret: str) -> None:
        """Know nobody but this key."""
        self.login = "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()
        self.rules = ""
        self.bans: list[dict[str, Any]] = []
        # How many requests to refuse before it works.
        self.is_down = False
        self.url = ""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Return status and document."""
        url = urlsplit(path)
        place = url.path.removeprefix("/api/v5/")
        if self.is_down:
            return 503, {"code": "SERVICE_UNAVAILABLE"}
        if (method, place) == ("PUT", "authorization/sources/file"):
            self.rules = body["rules"]
            return 204, None
        if (method, place) == ("GET", "banned"):
            query = parse_qs(url.query)
            first = (int(query["page"][0]) - 1) * int(query["limit"][0])
            return 200, {"data": self.bans[first : first + int(query["limit"][0])], "meta": {"count": len(self.bans)}}
        if (method, place) == ("POST", "banned"):
            self.bans.append(body)
            return 200, body
        if method == "DELETE" and place.startswith("banned/username/"):
            self.bans = [ban for ban in self.bans if ban["who"] != place.rpartition("/")[2]]
            return 204, None
        return 404, {"code": "NOT_FOUND"}


@contextmanager
def serving(api: EmqxApi) -> Iterator[EmqxApi]:
    """Listen on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            allowed = self.headers.get("Authorization") == api.login
            status, found = api.answer(self.command, self.path, json.loads(raw) if raw else None) if allowed else (401, {})
            said = b"" if found is None else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - so http.server calls them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
