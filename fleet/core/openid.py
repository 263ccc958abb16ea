"""Decides who somebody is by an ID token's claims, and what that lets him do here (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.core.roles import Caller, Role
from fleet.errors.openid import ExpiredError, NoRoleError, UnusableClaimsError, WrongAudienceError, WrongIssuerError, WrongNonceError

# So far two clocks may differ.
SKEW = timedelta(seconds=60)
# A token says that somebody signed in just now; an older one was kept by somebody.
MAX_AGE = timedelta(minutes=10)
MAX_GROUPS = 1000
KIND = "openid"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

Claims = Mapping[str, object]


@dataclass(frozen=True)
class Expected:
    """What a token of one login has to say."""

    issuer: str
    client_id: str
    nonce: str


@dataclass(frozen=True)
class Rules:
    """How claims become a name and a role."""

    name_claim: str
    groups_claim: str
    # By group; of several the highest counts.
    roles: Mapping[str, Role]
    # Of a verified address; empty for whatever the provider vouches for.
    domains: frozenset[str]

    @property
    def wanted(self) -> frozenset[str]:
        """Return the claims that decide."""
        return frozenset((self.name_claim, self.groups_claim, *(("email", "email_verified") if self.domains else ())))


def check_claims(claims: Claims, expected: Expected, now: datetime) -> None:
    """Raise the error that says why a signed token is not the answer to a login."""
    if claims.get("iss") != expected.issuer:
        raise WrongIssuerError("iss", expected.issuer, repr(claims.get("iss")))
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else list(audience) if isinstance(audience, Sequence) else []
    party = claims.get("azp", expected.client_id)
    # Several audiences: another application could show what was meant for it.
    if audiences != [expected.client_id] or party != expected.client_id:
        raise WrongAudienceError("aud", f"{expected.client_id} alone", f"{audience!r}, authorized party {party!r}")
    ends_s, issued_s, now_s = _time(claims, "exp"), _time(claims, "iat"), now.timestamp()
    if now_s >= ends_s + SKEW.total_seconds():
        raise ExpiredError("exp", f"a time after {now_s:.0f}", f"{ends_s:.0f}")
    if not now_s - (SKEW + MAX_AGE).total_seconds() <= issued_s <= now_s + SKEW.total_seconds():
        raise ExpiredError("iat", f"a time close to {now_s:.0f}", f"{issued_s:.0f}")
    if "nbf" in claims and _time(claims, "nbf") > now_s + SKEW.total_seconds():
        raise ExpiredError("nbf", f"a time before {now_s:.0f}", f"{_time(claims, 'nbf'):.0f}")
    if not isinstance(claims.get("sub"), str):
        raise UnusableClaimsError("sub", "a text by which the provider knows somebody", repr(claims.get("sub")))
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(errors="replace"), expected.nonce.encode()):
        raise WrongNonceError("nonce", "that of this login", "another" if nonce else "none")


def caller_of(claims: Claims, rules: Rules) -> Caller:
    """Return who somebody is and what he may do; raise UnusableClaimsError or NoRoleError."""
    name = claims.get(rules.name_claim)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UnusableClaimsError(rules.name_claim, "a name of at most 64 letters, digits and . _ @ -", repr(name))
    if rules.domains:
        email = claims.get("email")
        domain = email.rpartition("@")[2].lower() if isinstance(email, str) and claims.get("email_verified") is True else ""
        if domain not in rules.domains:
            raise NoRoleError(name, f"a verified address in {' or '.join(sorted(rules.domains))}, found {domain or 'none'}")
    found = claims.get(rules.groups_claim)
    groups = [found] if isinstance(found, str) else found[:MAX_GROUPS] if isinstance(found, list) else []
    roles = [rules.roles[group] for group in groups if isinstance(group, str) and group in rules.roles]
    if not roles:
        raise NoRoleError(name, f"a member of {' or '.join(sorted(rules.roles))}, found none of these groups")
    return Caller(name, max(roles), KIND)


def _time(claims: Claims, name: str) -> float:
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < 1e11:
        raise ExpiredError(name, "seconds since 1970", repr(found))
    return float(found)
