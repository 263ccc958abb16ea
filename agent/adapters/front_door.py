"""Touches the fleet's HTTPS port before the device has an identity: tells nothing to a server that lacks the token's authority."""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from agent.adapters.tls import fleet_context
from agent.errors import EnrolmentRefusedError, FleetUnreachableError, TokenRefusedError, UntrustedServerError
from contracts import codec
from contracts.enrolment import CA_PATH, ENROL_PATH, MAX_ANSWER_BYTES, Enrolled, EnrolmentRequest, EnrolmentToken
from contracts.errors import InvalidDocumentError
from contracts.messages import MAX_PEM_CHARS

ANSWER_S = 30.0
TOKEN_STATUSES = (http.client.UNAUTHORIZED, http.client.FORBIDDEN)


class FrontDoor:
    """One server, as an operator named it."""

    def __init__(self, server: str, token: EnrolmentToken, now: Callable[[], datetime]) -> None:
        """Take an https:// address; raise InvalidDocumentError for any other. Certificates are judged by `now`."""
        parts = urlsplit(server if "://" in server else f"https://{server}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme != "https" or not host or parts.path not in ("", "/"):
            raise InvalidDocumentError("--server", "address", "https://HOST:PORT, the server's --tls-port", repr(server))
        self._host, self._port = host, port or 443
        self.server = f"https://{self._host}:{self._port}"
        self._token = token
        self._now = now

    def authority(self) -> str:
        """Return the fleet authority's certificate in PEM; raise UntrustedServerError unless it is the one that the token names."""
        # Whoever answers is not believed yet, and is told nothing: the digest decides.
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
        status, raw = self._ask(stranger, "GET", CA_PATH, None, MAX_PEM_CHARS)
        try:
            pem = raw.decode("ascii")
            found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        except (ValueError, UnicodeDecodeError) as error:
            raise UntrustedServerError(self.server, "a fleet's authority", f"status {status} and no certificate") from error
        if found != self._token.ca_sha256:
            expected = f"the authority {self._token.ca_sha256[:16]}… that the token names"
            raise UntrustedServerError(self.server, expected, f"{found[:16]}…, another fleet's or an impostor's")
        # What is believed is this one certificate, in our own words.
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pem))

    def enrol(self, authority: str, device: str | None, csr: str) -> Enrolled:
        """Show the token and return the answer; raise EnrolmentRefusedError, UntrustedServerError or FleetUnreachableError."""
        request = EnrolmentRequest(secret=self._token.secret, device=device, csr=csr)
        context = fleet_context(authority, None, self._now)
        status, raw = self._ask(context, "POST", ENROL_PATH, request.model_dump_json(exclude_none=True), MAX_ANSWER_BYTES)
        if status != http.client.CREATED:
            refusal = TokenRefusedError if status in TOKEN_STATUSES else EnrolmentRefusedError
            raise refusal(_detail(self.server, status, raw))
        return codec.decode(Enrolled, raw, name=self.server, max_bytes=MAX_ANSWER_BYTES)

    def _ask(self, context: ssl.SSLContext, method: str, path: str, body: str | None, max_bytes: int) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=ANSWER_S, context=context)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read(max_bytes + 1)
        except ssl.SSLCertVerificationError as error:
            name = f"a certificate for {self._host} by the authority that the token names"
            raise UntrustedServerError(self.server, name, error.verify_message or str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise FleetUnreachableError(self.server, str(error) or type(error).__name__) from error
        finally:
            connection.close()


def _detail(server: str, status: int, raw: bytes) -> str:
    try:
        return str(json.loads(raw)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{server}: expected an answer of the fleet, found status {status}"
