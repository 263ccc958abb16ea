"""Why nobody gets in by an identity provider's word; each class is a kind of fault, or of attack."""

from __future__ import annotations

from typing import ClassVar

from fleet.errors import FleetError


class OpenIdError(FleetError):
    """A login by the provider that came to nothing; `kind` is what the audit log says."""

    kind: ClassVar[str] = "error"


class OpenIdSettingsError(OpenIdError):
    """The server was told of a provider in a way that cannot be used."""

    def __init__(self, source: str, expected: str, found: str) -> None:
        super().__init__(f"{source}: expected {expected}, found {found}")


class ProviderUnreachableError(OpenIdError):
    """The provider does not answer, or not as one does."""

    kind = "unreachable"
    exit_status = 3

    def __init__(self, url: str, found: str) -> None:
        super().__init__(f"{url}: expected an OpenID provider's answer, found {found}"[:500])


class StrayReturnError(OpenIdError):
    """Somebody comes back whom this browser did not send, or not any more."""

    kind = "stray_return"

    def __init__(self) -> None:
        super().__init__("login: expected somebody who was sent to the provider from this browser, found another; sign in again")


class ProviderRefusedError(OpenIdError):
    """The provider says no."""

    kind = "provider_refused"

    def __init__(self, found: str) -> None:
        super().__init__(f"login: expected the provider's word, found its refusal: {found:.100}")


class IdTokenError(OpenIdError):
    """A token that does not say what it should."""

    def __init__(self, part: str, expected: str, found: str) -> None:
        super().__init__(f"id token: {part}: expected {expected:.200}, found {found:.200}")


class UnsignedError(IdTokenError):
    """It is signed by no algorithm that counts."""

    kind = "unsigned"


class BadSignatureError(IdTokenError):
    """It is not what the provider's key signed."""

    kind = "bad_signature"


class WrongIssuerError(IdTokenError):
    """Another provider's."""

    kind = "wrong_issuer"


class WrongAudienceError(IdTokenError):
    """Meant for another application."""

    kind = "wrong_audience"


class ExpiredError(IdTokenError):
    """Its time is over, or has not come."""

    kind = "expired"


class WrongNonceError(IdTokenError):
    """Of another login."""

    kind = "wrong_nonce"


class UnusableClaimsError(IdTokenError):
    """It does not say who somebody is."""

    kind = "unusable_claims"


class NoRoleError(OpenIdError):
    """Somebody whom the provider knows, and who may do nothing here."""

    kind = "no_role"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: expected {reason}; ask an admin of the fleet")
        self.name = name
