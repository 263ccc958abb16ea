"""Checks an ID token's signature with joserfc; only algorithms by which a provider's private key signs count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from fleet.errors.openid import BadSignatureError, UnsignedError

# Neither `none` nor those by which whoever knows the client's secret could sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
MAX_CHARS = 64 * 1024


class UnknownKeyError(BadSignatureError):
    """The provider may have another key by now."""


def claims_of(token: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a token says that one of the keys signed; raise UnsignedError, UnknownKeyError or BadSignatureError."""
    try:
        algorithm = jws.extract_compact(token[:MAX_CHARS].encode()).headers().get("alg")
    except (JoseError, ValueError) as error:
        raise BadSignatureError("form", "a signed JSON web token", type(error).__name__) from error
    if algorithm not in ALGORITHMS:
        raise UnsignedError("alg", "one by which a provider signs", repr(algorithm))
    try:
        return jwt.decode(token[:MAX_CHARS], KeySet.import_key_set({"keys": list(keys["keys"])}), list(ALGORITHMS)).claims
    except InvalidKeyIdError as error:
        raise UnknownKeyError("kid", "a key of the provider", "another") from error
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise BadSignatureError("signature", "the provider's", type(error).__name__) from error
