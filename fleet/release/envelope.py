"""Signs a device's desired document, and commands to it, with the director's key, in a DSSE envelope."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from pydantic import BaseModel
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signer

from contracts import codec
from contracts.commands import COMMAND_PAYLOAD_TYPE, Command
from contracts.downlinks import Desired
from contracts.trust import DESIRED_PAYLOAD_TYPE

NONCE_BYTES = 16


class WishSigner:
    """Holds the director's key."""

    def __init__(self, load: Callable[[], Signer]) -> None:
        """Sign with the key that `load` finds now."""
        self._load = load
        self._signer = load()

    def reload(self) -> None:
        """Sign with the key that is the director's from now on."""
        self._signer = self._load()

    def sign(self, wish: Desired) -> bytes:
        """Return the envelope as JSON, with a nonce of its own."""
        return self._sealed(wish.model_copy(update={"nonce": secrets.token_hex(NONCE_BYTES)}), DESIRED_PAYLOAD_TYPE)

    def sign_command(self, command: Command) -> bytes:
        """Return the envelope as JSON."""
        return self._sealed(command, COMMAND_PAYLOAD_TYPE)

    def _sealed(self, document: BaseModel, payload_type: str) -> bytes:
        envelope = Envelope(codec.encode(document), payload_type, {})
        envelope.sign(self._signer)
        return codec.canonical(envelope.to_dict())
