"""Sends people to the identity provider and takes them back: authorization code with PKCE, state and nonce, each good for one login."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlencode

from fleet.core.audit import detail_of
from fleet.core.openid import Expected, caller_of, check_claims
from fleet.core.roles import Caller
from fleet.errors.openid import NoRoleError, OpenIdError, ProviderRefusedError, StrayReturnError, WrongIssuerError
from fleet.openid.provider import Provider
from fleet.openid.settings import OpenIdSettings
from fleet.store.openid_trips import OpenIdTripStore, Trip

RETURN_PATH = "/login/openid/return"
WHAT = "login.openid"
MAX_CHARS = 4096


class FrontDesk(Protocol):
    """Who opens sessions, and tells of those who did not get one."""

    def admit(self, caller: Caller, what: str, address: str, detail: str = "") -> str:
        """Return what the browser shows from now on."""

    def refuse(self, what: str, who: str, address: str, detail: str) -> None:
        """Tell of somebody who did not get in."""


class OpenIdDesk:
    """One provider's people; every method may block."""

    def __init__(
        self, settings: OpenIdSettings, trips: OpenIdTripStore, front: FrontDesk, bases: Mapping[str, str], now: Callable[[], datetime]
    ) -> None:
        """Ask the provider nothing yet; `bases` says by scheme where browsers reach us. Raises OpenIdSettingsError."""
        self._settings = settings
        self._bases = bases if settings.url is None else {scheme: settings.url.rstrip("/") for scheme in bases}
        self._rules = settings.rules()
        self._provider = Provider(settings)
        self._trips = trips
        self._front = front
        self._now = now

    def begin(self, browser: str, scheme: str) -> str:
        """Return where to send a browser that is known by `browser`, and came by `scheme`; raise ProviderUnreachableError."""
        about = self._provider.description()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        trip = Trip(nonce, verifier, self._bases[scheme] + RETURN_PATH)
        self._trips.begin(state, browser, trip, self._now())
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": trip.address,
            "scope": " ".join(("openid", *self._settings.scopes)),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{about.authorization_endpoint}{'&' if '?' in about.authorization_endpoint else '?'}{urlencode(query)}"

    def finish(self, browser: str, returned: Mapping[str, str], address: str) -> str:
        """Return a session's key for somebody who comes back; raise OpenIdError, which the audit log tells of, too."""
        claims: dict[str, Any] = {}
        try:
            trip = self._trips.end(returned.get("state", "")[:MAX_CHARS], browser, self._now())
            if trip is None:
                raise StrayReturnError
            claims = self._claims(trip, returned)
            caller = caller_of(claims, self._rules)
        except OpenIdError as error:
            who = f"openid {error.name}" if isinstance(error, NoRoleError) else "nobody"
            self._front.refuse(WHAT, who, address, detail_of({"why": error.kind, **_subject(claims)}))
            raise
        return self._front.admit(caller, WHAT, address, detail_of(_subject(claims)))

    def way_out(self, scheme: str) -> str | None:
        """Return where somebody who signed out here can sign out of the provider, too; raise ProviderUnreachableError."""
        end = self._provider.description().end_session_endpoint
        query = {"client_id": self._settings.client_id, "post_logout_redirect_uri": f"{self._bases[scheme]}/login"}
        return None if end is None else f"{end}{'&' if '?' in end else '?'}{urlencode(query)}"

    def _claims(self, trip: Trip, returned: Mapping[str, str]) -> dict[str, Any]:
        # RFC 9207: by it a browser that two providers sent to and fro is noticed.
        if returned.get("iss", self._settings.issuer) != self._settings.issuer:
            raise WrongIssuerError("iss", self._settings.issuer, returned["iss"])
        if "code" not in returned:
            raise ProviderRefusedError(returned.get("error", "no code"))
        tokens = self._provider.tokens(returned["code"][:MAX_CHARS], trip.verifier, trip.address)
        claims = self._provider.claims(tokens.id_token)
        check_claims(claims, Expected(self._settings.issuer, self._settings.client_id, trip.nonce), self._now())
        if self._rules.wanted <= set(claims):
            return claims
        # A provider may keep its tokens small, and tell the rest when it is asked.
        return self._provider.person(tokens, claims) | claims


def _subject(claims: Mapping[str, Any]) -> dict[str, str]:
    """By which the provider knows somebody for good; names may change hands."""
    return {"sub": str(claims["sub"])[:200]} if "sub" in claims else {}
