"""Why a key, or a change that keys signed, is not taken."""

from __future__ import annotations

from fleet.errors import FleetError


class KeyFileError(FleetError):
    """A signing key cannot be used."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path}: expected an ed25519 private key in PEM form, found {found}; give the release key with --key")


class KeyExistsError(FleetError):
    """A key would be written over."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: expected no file, found one; a key is never written over, choose another name")


class PendingExistsError(FleetError):
    """A change that waits for signatures would be written over."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: expected no file, found a change that may still wait; sign it, remove it, or choose another with --pending"
        )


class NoPendingError(FleetError):
    """A change that was to be signed is not there."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: expected a change that waits, found no file; get it from whoever signed last, as --pending named it")


class TokenError(FleetError):
    """A key on a PKCS#11 token cannot be used."""

    def __init__(self, uri: str, found: str) -> None:
        super().__init__(
            f"{uri}: expected an ECDSA key on a PKCS#11 token, found: {found}; install fieldfare[hsm], "
            "set PYKCS11LIB to the token's library, and name the key as hsm:ID?label=TOKEN"
        )


class PassphraseError(FleetError):
    """No usable passphrase was given."""

    def __init__(self, source: str, found: str) -> None:
        super().__init__(f"{source}: expected a passphrase of 1 to 1024 characters, found {found}")


class ThresholdError(FleetError):
    """A role would need more signatures than it has keys, or none."""

    def __init__(self, role: str, threshold: int, keys: int) -> None:
        super().__init__(f"{role}: expected a threshold of 1 to {keys}, the number of its keys, found {threshold}")


class WrongKeyError(FleetError):
    """A key is none of those whose signature is wanted."""

    def __init__(self, path: str, wanted: str = "the key that signed this fleet's releases") -> None:
        super().__init__(f"{path}: expected {wanted}, found another; give the right one with --key")


class UnknownKeyError(FleetError):
    """A role has no key, or more than one, that a text begins the id of."""

    def __init__(self, role: str, key_id: str, found: int) -> None:
        super().__init__(f"{role}: expected one key whose id begins with {key_id!r}, found {found}; `fieldfare keys show` lists them")


class UntrustedChangeError(FleetError):
    """New root, targets or director metadata is not what the fleet's offline keys allow next."""

    def __init__(self, document: str, expected: str, found: str) -> None:
        super().__init__(f"{document}: expected {expected}, found {found}; build the change again from what the server has now")


class ForeignTrustError(FleetError):
    """A folder with a fleet's first metadata does not fit this server."""

    def __init__(self, folder: str, expected: str, found: str) -> None:
        super().__init__(f"{folder}: expected {expected}, found {found}; give the server folder that `fieldfare keys init` wrote")
