"""Signs a device's desired document with the director's key, in a DSSE envelope."""

from __future__ import annotations

from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signer

from contracts import codec
from contracts.messages import Desired
from contracts.trust import DESIRED_PAYLOAD_TYPE


class WishSigner:
    """Holds the director's key."""

    def __init__(self, signer: Signer) -> None:
        """Sign with this key."""
        self._signer = signer

    def sign(self, wish: Desired) -> bytes:
        """Return the envelope as JSON."""
        envelope = Envelope(codec.encode(wish), DESIRED_PAYLOAD_TYPE, {})
        envelope.sign(self._signer)
        return codec.canonical(envelope.to_dict())
