"""Opens a signing key on a PKCS#11 token, such as a YubiKey, through securesystemslib's own signer."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import HSMSigner, Signature, Signer

from fleet.errors.keys import TokenError

SCHEME = HSMSigner.SCHEME


class TokenSigner(HSMSigner):
    """The library's signer, with errors that a person can act on."""

    def sign(self, payload: bytes) -> Signature:
        """Sign on the token; raise TokenError."""
        from pkcs11.exceptions import PKCS11Error  # an extra, which is here if a token was opened

        try:
            return super().sign(payload)
        except (ValueError, PKCS11Error) as error:
            raise TokenError(f"{SCHEME}:{self.hsm_keyid}", repr(error)) from error


def open_token_key(uri: str, ask_pin: Callable[[str], str]) -> Signer:
    """Find the key that a URI such as hsm:2?label=office names; raise TokenError."""
    parts = urlsplit(uri)
    try:
        key_id = int(parts.path) if parts.path else HSMSigner.SCHEME_KEYID
        label = dict(parse_qsl(parts.query)).get("label")
        found, public = HSMSigner.import_(key_id, label, ask_pin)
        return TokenSigner.from_priv_key_uri(found, public, ask_pin)
    except (UnsupportedLibraryError, ValueError) as error:
        raise TokenError(uri, str(error)) from error
