"""A small OpenID provider as a process of its own: python -m tests.live.openid_provider PORT FOLDER.

It signs in whoever comes as the user in FOLDER/user.json, and does wrong what FOLDER/faults.json says; each request reads both anew.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.live.ports import free_port

CLIENT, SECRET = "fieldfare", "a secret with +/ and :"
ROOT = Path(__file__).parents[2]
START_S = 60


class Provider:
    """Its codes and keys."""

    def __init__(self, port: int, folder: Path) -> None:
        self.issuer = f"http://127.0.0.1:{port}/realms/fleet"
        self.folder = folder
        self.codes: dict[str, dict[str, str]] = {}
        self.keys: dict[str, RSAKey | ECKey] = {}
        self.keys_asked = 0

    def read(self, name: str) -> dict[str, Any]:
        """Return a file's content as it is now."""
        path = self.folder / name
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def key(self, name: str) -> RSAKey | ECKey:
        """Return a key of that name, new the first time."""
        if name not in self.keys:
            made = ECKey.generate_key("P-256", {"kid": name}) if name.startswith("ec") else RSAKey.generate_key(2048, {"kid": name})
            self.keys[name] = made
        return self.keys[name]

    def description(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0, section 3."""
        names = {
            "authorization_endpoint": "auth",
            "token_endpoint": "token",
            "jwks_uri": "keys",
            "userinfo_endpoint": "person",
            "end_session_endpoint": "logout",
        }
        return {"issuer": self.issuer, **{name: f"{self.issuer}/{path}" for name, path in names.items()}, **self.read("description.json")}

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where the browser goes next."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        answer = {"state": asked["state"], "code": code, "iss": self.issuer, **self.read("faults.json").get("return", {})}
        return f"{asked['redirect_uri']}?{urlencode({name: value for name, value in answer.items() if value is not None})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, str]]:
        """RFC 6749 section 4.1.3 and RFC 7636 section 4.6."""
        client, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if (unquote_plus(client), unquote_plus(secret)) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form["code"], None)
        challenge = _encoded(hashlib.sha256(form["code_verifier"].encode()).digest())
        if asked is None or (asked["code_challenge"], asked["redirect_uri"]) != (challenge, form["redirect_uri"]):
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "an access token", "token_type": "Bearer", "id_token": self.id_token(asked["nonce"])}

    def id_token(self, nonce: str) -> str:
        """Sign what is to be said, or do what is wrong."""
        faults, now = self.read("faults.json"), int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "7", "nonce": nonce, "iat": now, "exp": now + 300, **self.read("user.json")}
        for name, value in faults.get("claims", {}).items():
            claims[name] = now + value if name in ("exp", "iat", "nbf") and value is not None else value
        claims = {name: value for name, value in claims.items() if value is not None}
        algorithm, name = faults.get("alg", "RS256"), faults.get("key", "first")
        if algorithm in ("none", "HS256"):  # no library signs like this
            signed = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": algorithm, "kid": name}, claims))
            public = self.key(name).as_pem(private=False)
            return f"{signed}." + (_encoded(hmac.digest(public, signed.encode(), "sha256")) if algorithm == "HS256" else "")
        key = RSAKey.generate_key(2048, {"kid": name}) if faults.get("forged") else self.key(name)
        return jwt.encode({"alg": algorithm, "kid": name}, claims, key, [algorithm])

    def public_keys(self) -> dict[str, Any]:
        """Return the keys that it shows."""
        self.keys_asked += 1
        names = self.read("faults.json").get("shown", ["first"])
        return {"keys": [self.key(name).as_dict(private=False) | {"kid": name, "use": "sig"} for name in names]}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    provider: Provider

    def do_GET(self) -> None:
        """Describe, show keys, sign in, sign out."""
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        match url.path.removeprefix("/realms/fleet/"):
            case ".well-known/openid-configuration":
                self.answer(200, self.provider.description())
            case "keys":
                self.answer(200, self.provider.public_keys())
            case "auth":
                self.send_response(302)
                self.send_header("Location", self.provider.authorize(asked))
                self.end_headers()
            case "person":
                is_asked_right = self.headers.get("Authorization") == "Bearer an access token"
                self.answer(200 if is_asked_right else 401, self.provider.read("person.json"))
            case "asked":
                self.answer(200, {"keys": self.provider.keys_asked})
            case _:
                self.answer(404, {})

    def do_POST(self) -> None:
        """Give a token for a code."""
        raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(raw).items()}
        self.answer(*self.provider.token(form, self.headers.get("Authorization", "")))

    def answer(self, status: int, content: dict[str, Any]) -> None:
        """Send JSON."""
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parameter's name is the library's
        """Say nothing."""


@contextmanager
def openid_provider(folder: Path) -> Iterator[str]:
    """Yield the issuer of a provider that reads its user and its faults in `folder`."""
    port = free_port()
    command = [sys.executable, "-m", "tests.live.openid_provider", str(port), str(folder)]
    process = subprocess.Popen(command, cwd=ROOT)
    issuer = f"http://127.0.0.1:{port}/realms/fleet"
    try:
        deadline = time.monotonic() + START_S
        while not _answers(f"{issuer}/.well-known/openid-configuration"):
            assert process.poll() is None, "the provider ended"
            assert time.monotonic() < deadline, "the provider did not start"
            time.sleep(0.05)
        yield issuer
    finally:
        process.terminate()
        process.wait(START_S)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    Handler.provider = Provider(int(sys.argv[1]), Path(sys.argv[2]))
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
