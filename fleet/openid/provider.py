"""Talks to the identity provider over HTTPS: what it says of itself, its keys, and the token for a code."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from fleet.errors.openid import OpenIdSettingsError, ProviderRefusedError, ProviderUnreachableError, UnusableClaimsError
from fleet.openid.id_token import UnknownKeyError, claims_of
from fleet.openid.settings import OpenIdSettings, is_safe

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 1 << 20
FRESH_S = 3600.0
# An unknown key is looked for no more often: nobody makes us ask without end.
KEYS_PAUSE_S = 10.0


def _safe(url: str) -> str:
    if not is_safe(url):
        raise ValueError("an https:// address")
    return url


Address = Annotated[str, Field(max_length=2000), AfterValidator(_safe)]


class Description(BaseModel, frozen=True):
    """What is read of OpenID Connect Discovery 1.0, section 3."""

    issuer: str
    authorization_endpoint: Address
    token_endpoint: Address
    jwks_uri: Address
    userinfo_endpoint: Address | None = None
    end_session_endpoint: Address | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


@dataclass(frozen=True)
class Tokens:
    """What a code was traded for; with the second the provider tells more of the same person."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)


class Provider:
    """One provider; every method may block, and is called from several threads."""

    def __init__(self, settings: OpenIdSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Know it by name; nothing is asked yet. Raises OpenIdSettingsError."""
        self._settings = settings
        self._secret = settings.secret()
        self._clock = clock
        self._lock = threading.Lock()
        self._description: tuple[float, Description] | None = None
        self._keys: tuple[float, dict[str, Any]] | None = None
        try:
            trusted = True if settings.ca_file is None else ssl.create_default_context(cafile=str(settings.ca_file))
        except OSError as error:
            raise OpenIdSettingsError(str(settings.ca_file), "certificates in PEM", str(error)) from error
        self._http = httpx.Client(timeout=TIMEOUT_S, verify=trusted, follow_redirects=False)

    def description(self) -> Description:
        """Return what the provider says of itself, an hour old at most; raise ProviderUnreachableError."""
        with self._lock:
            if self._description is None or self._clock() >= self._description[0] + FRESH_S:
                url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                try:
                    found = Description.model_validate(self._json(url))
                except ValidationError as error:
                    raise ProviderUnreachableError(url, f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from error
                if found.issuer != self._settings.issuer:
                    raise ProviderUnreachableError(url, f"the issuer {found.issuer:.200}")
                self._description = (self._clock(), found)
            return self._description[1]

    def tokens(self, code: str, verifier: str, address: str) -> Tokens:
        """Trade a code for tokens; raise ProviderRefusedError or ProviderUnreachableError."""
        about = self.description()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": address, "code_verifier": verifier}
        auth: httpx.BasicAuth | None = None
        if "client_secret_basic" in about.token_endpoint_auth_methods_supported:
            auth = httpx.BasicAuth(_quoted(self._settings.client_id), _quoted(self._secret))
        else:
            form |= {"client_id": self._settings.client_id, "client_secret": self._secret}
        answer = self._ask("POST", about.token_endpoint, data=form, auth=auth)
        found = _object(answer, about.token_endpoint)
        token, more = found.get("id_token"), found.get("access_token")
        if answer.status_code != httpx.codes.OK or not isinstance(token, str) or not isinstance(more, str):
            raise ProviderRefusedError(f"status {answer.status_code} without tokens for the code")
        return Tokens(token, more)

    def claims(self, token: str) -> dict[str, Any]:
        """Return what a signed token says; an unknown key is asked for once. Raises IdTokenError or ProviderUnreachableError."""
        try:
            return claims_of(token, self._known_keys(FRESH_S))
        except UnknownKeyError:
            return claims_of(token, self._known_keys(KEYS_PAUSE_S))

    def person(self, tokens: Tokens, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the provider tells of somebody beside the ID token; raise UnusableClaimsError or ProviderUnreachableError."""
        url = self.description().userinfo_endpoint
        if url is None:
            return {}
        answer = self._ask("GET", url, headers={"Authorization": f"Bearer {tokens.access_token}"})
        found = _object(answer, url)
        # OpenID Connect Core 1.0, section 5.3.4: else it may be somebody else's.
        if answer.status_code != httpx.codes.OK or found.get("sub") != claims.get("sub"):
            raise UnusableClaimsError("userinfo", "the person of the ID token", f"another, status {answer.status_code}")
        return found

    def _known_keys(self, fresh_s: float) -> dict[str, Any]:
        url = self.description().jwks_uri
        with self._lock:
            if self._keys is None or self._clock() >= self._keys[0] + fresh_s:
                found = self._json(url)
                if not isinstance(found.get("keys"), list):
                    raise ProviderUnreachableError(url, "no list of keys")
                self._keys = (self._clock(), found)
            return self._keys[1]

    def _json(self, url: str) -> dict[str, Any]:
        answer = self._ask("GET", url)
        if answer.status_code != httpx.codes.OK:
            raise ProviderUnreachableError(url, f"status {answer.status_code}")
        return _object(answer, url)

    def _ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Return an answer of bounded size."""
        try:
            with self._http.stream(method, url, **options) as stream:
                raw = bytearray()
                for block in stream.iter_bytes():
                    raw += block
                    if len(raw) > MAX_ANSWER_BYTES:
                        raise ProviderUnreachableError(url, f"more than {MAX_ANSWER_BYTES} bytes")
                return httpx.Response(stream.status_code, content=bytes(raw))
        except httpx.HTTPError as error:
            raise ProviderUnreachableError(url, str(error) or type(error).__name__) from error


def _object(answer: httpx.Response, url: str) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError as error:
        raise ProviderUnreachableError(url, "no JSON") from error
    if not isinstance(found, dict):
        raise ProviderUnreachableError(url, "no JSON object")
    return found


def _quoted(text: str) -> str:
    """RFC 6749, section 2.3.1: form-encoded before it is put into the header."""
    return str(httpx.QueryParams({"": text})).removeprefix("=")
