"""Why a request that names an idempotency key is not carried out."""

from __future__ import annotations

from fleet.errors import FleetError


class KeyReusedError(FleetError):
    """One key came with two different requests."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Idempotency-Key {key}: expected the same request as before, found another one; give each request a key of its own"
        )


class KeyBusyError(FleetError):
    """The request of that key has no answer that could be given again."""

    def __init__(self, key: str, found: str) -> None:
        super().__init__(f"Idempotency-Key {key}: expected a request that was answered, found {found}")


class TooManyKeysError(FleetError):
    """Somebody uses up keys faster than they are forgotten."""

    def __init__(self, at_most: int) -> None:
        super().__init__(f"Idempotency-Key: expected at most {at_most} of a token in 24 hours, found more; leave it out, or wait")


class UnreadableKeyError(FleetError):
    """A key cannot be kept."""

    def __init__(self) -> None:
        super().__init__("Idempotency-Key: expected 1 to 255 visible ASCII characters, found something else")
